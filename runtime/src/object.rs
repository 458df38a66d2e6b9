//! Objects of the API that are read as structs of few fields.

/// Has a struct with the field `metadata`, an `ObjectMeta`, be an object of the API. Which resource it is
/// says the `ApiResource` that the `Api` is made with.
///
/// ```
/// struct Labelled {
///     metadata: k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
/// }
///
/// runtime::object!(Labelled);
/// ```
#[macro_export]
macro_rules! object {
    ($type:ty) => {
        impl $crate::object::Resource for $type {
            type DynamicType = $crate::object::ApiResource;
            type Scope = $crate::object::DynamicResourceScope;

            fn kind(resource: &Self::DynamicType) -> ::std::borrow::Cow<'_, str> {
                resource.kind.as_str().into()
            }

            fn group(resource: &Self::DynamicType) -> ::std::borrow::Cow<'_, str> {
                resource.group.as_str().into()
            }

            fn version(resource: &Self::DynamicType) -> ::std::borrow::Cow<'_, str> {
                resource.version.as_str().into()
            }

            fn api_version(resource: &Self::DynamicType) -> ::std::borrow::Cow<'_, str> {
                resource.api_version.as_str().into()
            }

            fn plural(resource: &Self::DynamicType) -> ::std::borrow::Cow<'_, str> {
                resource.plural.as_str().into()
            }

            fn meta(&self) -> &$crate::object::ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut $crate::object::ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

// What the macro names, whatever its users depend on.
#[doc(hidden)]
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
#[doc(hidden)]
pub use kube::{Resource, api::ApiResource, core::DynamicResourceScope};
