//! A pod as it arrives: read in place, only as deep as the question needs.
//!
//! Metadata is typed and borrowed; the spec stays raw until a policy can match, and lists inside a
//! container stay raw until a policy touches them. Nothing is ever written back from here.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::{
    ContainerList,
    reader::{Raw, read},
    select::Lookup,
};

/// Reads a struct from a JSON object only. What serde derives also takes a list for a struct, field
/// by field, which Kubernetes never means.
macro_rules! read_from_object {
    ($name:ident) => {
        impl<'de: 'a, 'a> Deserialize<'de> for $name<'a> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct ObjectVisitor;

                impl<'de> Visitor<'de> for ObjectVisitor {
                    type Value = $name<'de>;

                    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                        formatter.write_str("an object")
                    }

                    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                        $name::deserialize(MapAccessDeserializer::new(map))
                    }
                }

                deserializer.deserialize_map(ObjectVisitor)
            }
        }
    };
}
pub(crate) use read_from_object;

/// A pod, borrowed from its JSON.
#[derive(Debug, Default, Deserialize)]
#[serde(remote = "Self")]
pub struct Pod<'a> {
    /// Object metadata.
    #[serde(borrow, default, deserialize_with = "metadata")]
    pub metadata: Metadata<'a>,
    /// The spec, not yet read.
    #[serde(borrow, default)]
    pub spec: Option<Raw<'a>>,
}

read_from_object!(Pod);

/// The parts of object metadata that decisions rest on.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
#[serde(remote = "Self")]
pub struct Metadata<'a> {
    /// Name; empty while `generateName` stands for it.
    #[serde(borrow, default)]
    pub name: Option<Text<'a>>,
    /// Prefix that the API server completes to a name.
    #[serde(borrow, default)]
    pub generate_name: Option<Text<'a>>,
    /// Namespace, as written in the object.
    #[serde(borrow, default)]
    pub namespace: Option<Text<'a>>,
    /// Labels.
    #[serde(borrow, default)]
    pub labels: Entries<'a>,
    /// Annotations.
    #[serde(borrow, default)]
    pub annotations: Entries<'a>,
    /// Owners.
    #[serde(borrow, default)]
    pub owner_references: Option<Vec<Owner<'a>>>,
    /// False where the object has no metadata at all, so that an edit has to add it.
    #[serde(skip)]
    pub present: bool,
}

read_from_object!(Metadata);

/// Reads metadata that may be absent or null.
pub(crate) fn metadata<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Metadata<'a>, D::Error> {
    let metadata = Option::<Metadata<'a>>::deserialize(deserializer)?;
    Ok(metadata.map_or_else(Metadata::default, |read| Metadata { present: true, ..read }))
}

impl Metadata<'_> {
    /// Whether an owner manages the object as its controller.
    #[must_use]
    pub fn has_controller(&self) -> bool {
        self.owner_references.iter().flatten().any(|owner| owner.controller == Some(true))
    }
}

/// An owner reference.
#[derive(Debug, Deserialize)]
#[serde(remote = "Self")]
pub struct Owner<'a> {
    /// Kind of the owner.
    #[serde(borrow, default)]
    pub kind: Option<Text<'a>>,
    /// Name of the owner.
    #[serde(borrow, default)]
    pub name: Option<Text<'a>>,
    /// Whether it manages the object.
    #[serde(default)]
    pub controller: Option<bool>,
}

read_from_object!(Owner);

/// Text of a JSON string, borrowed where it has no escapes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text<'a>(pub Cow<'a, str>);

impl Text<'_> {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(TextVisitor)
    }
}

/// A string map such as labels, which knows whether it is there at all.
#[derive(Debug, Default)]
pub struct Entries<'a> {
    /// `None`: absent or null, so an edit has to add the map itself.
    entries: Option<Vec<(Text<'a>, Text<'a>)>>,
}

impl Entries<'_> {
    /// Whether the map is there, even if empty.
    #[must_use]
    pub fn is_present(&self) -> bool {
        self.entries.is_some()
    }

    /// Keys and values, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().flatten().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

impl Lookup for Entries<'_> {
    fn value(&self, key: &str) -> Option<&str> {
        self.iter().find_map(|(found, value)| (found == key).then_some(value))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;

        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a map of strings")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Entries::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::with_capacity(8);
                while let Some((key, value)) = map.next_entry::<Text<'de>, Option<Text<'de>>>()? {
                    entries.push((key, value.unwrap_or_default()));
                }
                Ok(Entries { entries: Some(entries) })
            }
        }

        deserializer.deserialize_any(EntriesVisitor)
    }
}

/// The parts of a pod spec that decisions rest on.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
#[serde(remote = "Self")]
pub(crate) struct Spec<'a> {
    #[serde(borrow, default)]
    pub(crate) volumes: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(crate) init_containers: Option<Vec<Container<'a>>>,
    #[serde(borrow, default)]
    pub(crate) containers: Option<Vec<Container<'a>>>,
    #[serde(default)]
    pub(crate) host_network: Option<bool>,
    #[serde(default, rename = "hostPID")]
    pub(crate) host_pid: Option<bool>,
    #[serde(default)]
    pub(crate) host_users: Option<bool>,
    #[serde(default)]
    pub(crate) share_process_namespace: Option<bool>,
    #[serde(default)]
    pub(crate) termination_grace_period_seconds: Option<i64>,
    #[serde(borrow, default)]
    restart_policy: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) resource_claims: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(crate) resources: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(crate) security_context: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(crate) image_pull_secrets: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(crate) host_aliases: Option<Raw<'a>>,
    #[serde(borrow, default)]
    os: Option<Os<'a>>,
    #[serde(borrow, default)]
    node_selector: Entries<'a>,
}

read_from_object!(Spec);

#[derive(Debug, Deserialize)]
#[serde(remote = "Self")]
struct Os<'a> {
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
}

read_from_object!(Os);

impl<'a> Spec<'a> {
    /// Reads the spec of a pod; the error says what has the wrong type.
    pub(crate) fn read(pod: &Pod<'a>) -> Result<Self, serde_json::Error> {
        pod.spec.map_or_else(|| Ok(Self::default()), |raw| read(raw.get()))
    }

    /// The containers of both lists, each with its list and its position there.
    pub(crate) fn all_containers(
        &self,
    ) -> impl Iterator<Item = (ContainerList, usize, &Container<'a>)> {
        let lists = [
            (ContainerList::InitContainers, &self.init_containers),
            (ContainerList::Containers, &self.containers),
        ];
        lists.into_iter().flat_map(|(list, containers)| {
            let numbered = containers.iter().flatten().enumerate();
            numbered.map(move |(position, container)| (list, position, container))
        })
    }

    /// The operating system the pod names, by `spec.os.name` or else its node selector.
    pub(crate) fn operating_system(&self) -> Option<&str> {
        self.declared_operating_system().or_else(|| self.node_selector.value("kubernetes.io/os"))
    }

    /// `spec.restartPolicy`, or its default.
    pub(crate) fn restart_policy(&self) -> &str {
        let named = self.restart_policy.as_ref().map(Text::as_str);
        named.filter(|policy| !policy.is_empty()).unwrap_or("Always")
    }

    /// `spec.os.name`, by which the API server refuses fields of the other operating system.
    pub(crate) fn declared_operating_system(&self) -> Option<&str> {
        self.os.as_ref().and_then(|os| os.name.as_ref()).map(Text::as_str)
    }
}

/// The parts of a container that decisions rest on; lists are read when a policy touches them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[serde(remote = "Self")]
pub(crate) struct Container<'a> {
    /// Not optional: edits are guarded by a test of it, which fails where there is none.
    #[serde(borrow)]
    pub(crate) name: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) image: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) restart_policy: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) command: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(crate) args: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(crate) env: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(crate) env_from: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(crate) volume_mounts: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(crate) volume_devices: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(crate) ports: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(crate) resources: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(crate) security_context: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(crate) liveness_probe: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(crate) readiness_probe: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(crate) startup_probe: Option<Raw<'a>>,
    #[serde(borrow, default)]
    pub(crate) lifecycle: Option<Raw<'a>>,
}

read_from_object!(Container);

impl Container<'_> {
    /// Whether it restarts always, which makes an init container a native sidecar.
    pub(crate) fn restarts_always(&self) -> bool {
        self.restart_policy.as_ref().is_some_and(|policy| policy.as_str() == "Always")
    }
}

/// The name of a list element such as a volume or a variable.
#[derive(Debug, Deserialize)]
#[serde(remote = "Self")]
pub(crate) struct Named<'a> {
    #[serde(borrow, default)]
    pub(crate) name: Text<'a>,
}

read_from_object!(Named);
