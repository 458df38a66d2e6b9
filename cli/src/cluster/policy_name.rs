//! Policies as people name them at the command line.

use std::{collections::BTreeSet, fmt};

use inject::PolicyId;

use super::{Error, Resource};

/// A policy that people name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PolicyName {
    /// Of either kind: `log-shipper`.
    Any(String),
    /// A `SidecarPolicy` of the namespace that is asked: `scp/log-shipper`.
    Namespaced(String),
    /// As everything names it: `cluster/mesh` or `shop/log-shipper`.
    Full(PolicyId),
}

impl PolicyName {
    /// What a word names.
    pub(crate) fn read(word: &str) -> Result<Self, Error> {
        let Some((before, name)) = word.split_once('/') else {
            return Ok(Self::Any(word.to_owned()));
        };
        if before.is_empty() || name.is_empty() || name.contains('/') {
            return Err(Error::NoPolicyName { word: word.to_owned() });
        }
        Ok(if Resource::SIDECAR_POLICY.is_named(before) {
            Self::Namespaced(name.to_owned())
        } else if before == "cluster" || Resource::CLUSTER_SIDECAR_POLICY.is_named(before) {
            Self::Full(PolicyId::cluster(name))
        } else {
            Self::Full(PolicyId::namespaced(before, name))
        })
    }

    /// Whether it can be a policy of the cluster kind.
    pub(crate) fn can_be_of_cluster(&self) -> bool {
        match self {
            Self::Any(_) => true,
            Self::Namespaced(_) => false,
            Self::Full(policy) => policy.namespace.is_none(),
        }
    }

    /// Whether it can be a policy of a namespace.
    pub(crate) fn can_be_of_namespace(&self) -> bool {
        matches!(self, Self::Any(_)) || !self.can_be_of_cluster()
    }

    /// Whether it names this policy; `scope` is what is asked.
    pub(crate) fn names(&self, policy: &PolicyId, scope: &Scope) -> bool {
        let is_asked = || policy.namespace.as_ref().is_some_and(|name| scope.asks(name));
        match self {
            Self::Full(named) => named == policy,
            Self::Namespaced(name) => *name == policy.name && is_asked(),
            Self::Any(name) => *name == policy.name && (policy.namespace.is_none() || is_asked()),
        }
    }
}

impl fmt::Display for PolicyName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any(name) => formatter.write_str(name),
            Self::Namespaced(name) => write!(formatter, "scp/{name}"),
            Self::Full(policy) => policy.fmt(formatter),
        }
    }
}

/// The namespaces whose policies are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    All,
    One(String),
}

impl Scope {
    fn asks(&self, namespace: &str) -> bool {
        match self {
            Self::All => true,
            Self::One(one) => one == namespace,
        }
    }

    /// The namespaces to read for policies of these names; `None` for all.
    pub(crate) fn namespaces(&self, names: &[PolicyName]) -> Option<BTreeSet<String>> {
        let Self::One(one) = self else { return None };
        if names.is_empty() {
            return Some(BTreeSet::from([one.clone()]));
        }
        let namespaces = names.iter().filter_map(|name| match name {
            PolicyName::Full(policy) => policy.namespace.clone(),
            PolicyName::Any(_) | PolicyName::Namespaced(_) => Some(one.clone()),
        });
        Some(namespaces.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(word: &str, scope: &Scope) -> Vec<String> {
        let name = PolicyName::read(word).expect(word);
        let policies = [
            PolicyId::cluster("log"),
            PolicyId::namespaced("shop", "log"),
            PolicyId::namespaced("bank", "log"),
            PolicyId::namespaced("shop", "mesh"),
        ];
        let named = policies.iter().filter(|policy| name.names(policy, scope));
        named.map(ToString::to_string).collect()
    }

    #[test]
    fn policies_are_named_in_every_way_that_people_know() {
        let shop = Scope::One("shop".to_owned());
        assert_eq!(named("log", &shop), ["cluster/log", "shop/log"]);
        assert_eq!(named("log", &Scope::All), ["cluster/log", "shop/log", "bank/log"]);
        assert_eq!(named("scp/log", &shop), ["shop/log"]);
        assert_eq!(named("SidecarPolicy/log", &Scope::All), ["shop/log", "bank/log"]);
        for word in ["cluster/log", "cscp/log", "clustersidecarpolicies.sidecarpolicy.dev/log"] {
            assert_eq!(named(word, &shop), ["cluster/log"], "{word}");
        }
        assert_eq!(named("bank/log", &shop), ["bank/log"]);
        for word in ["/log", "shop/", "a/b/c"] {
            assert!(PolicyName::read(word).is_err(), "{word}");
        }
    }

    #[test]
    fn only_namespaces_that_matter_are_read() {
        let shop = Scope::One("shop".to_owned());
        let read = |words: &[&str]| {
            let names: Vec<_> =
                words.iter().map(|word| PolicyName::read(word).expect(word)).collect();
            shop.namespaces(&names).map(|names| names.into_iter().collect::<Vec<_>>().join(" "))
        };
        assert_eq!(read(&[]).as_deref(), Some("shop"));
        assert_eq!(read(&["cluster/log"]).as_deref(), Some(""));
        assert_eq!(read(&["bank/log", "log"]).as_deref(), Some("bank shop"));
        assert_eq!(Scope::All.namespaces(&[]), None);
    }
}
