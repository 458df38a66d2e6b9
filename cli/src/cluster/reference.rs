//! Objects as people name them at the command line: `pod/api`, `deploy/api`, or `pod api web`.

use super::{Error, Resource};

/// An object of a cluster.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) resource: &'static Resource,
    pub(crate) name: String,
}

impl Reference {
    /// The objects that words name, all of these kinds.
    pub(crate) fn read(words: &[String], kinds: &[&'static Resource]) -> Result<Vec<Self>, Error> {
        let kind = |word: &str| {
            kinds.iter().copied().find(|resource| resource.is_named(word)).ok_or_else(|| {
                let known = kinds.iter().map(|resource| resource.full_name()).collect::<Vec<_>>();
                Error::UnknownKind { kind: word.to_owned(), known: known.join(", ") }
            })
        };
        let no_name = |word: &str| Error::NoName { kind: word.to_owned() };
        if let [first, names @ ..] = words
            && !first.contains('/')
        {
            let resource = kind(first)?;
            if names.is_empty() {
                return Err(no_name(first));
            }
            return names
                .iter()
                .map(|name| match name.split_once('/') {
                    Some(_) => Err(Error::KindTwice { kind: first.clone(), object: name.clone() }),
                    None => Ok(Self { resource, name: name.clone() }),
                })
                .collect();
        }
        words
            .iter()
            .map(|word| {
                let (kind_word, name) = word.split_once('/').ok_or_else(|| no_name(word))?;
                let resource = kind(kind_word)?;
                if name.is_empty() || name.contains('/') {
                    return Err(no_name(kind_word));
                }
                Ok(Self { resource, name: name.to_owned() })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &str) -> Result<Vec<(&'static str, String)>, String> {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let read = Reference::read(&words, &Resource::WITH_PODS);
        let read = read.map_err(|error| error.to_string())?;
        Ok(read.into_iter().map(|found| (found.resource.kind, found.name)).collect())
    }

    #[test]
    fn objects_are_named_as_kubectl_takes_them() {
        let named = |kind, names: &[&str]| {
            Ok(names.iter().map(|name| (kind, (*name).to_owned())).collect::<Vec<_>>())
        };
        assert_eq!(read("pod/api"), named("Pod", &["api"]));
        assert_eq!(read("po api web"), named("Pod", &["api", "web"]));
        assert_eq!(read("statefulsets.apps/db"), named("StatefulSet", &["db"]));
        assert_eq!(
            read("cj/nightly job/once"),
            Ok(vec![("CronJob", "nightly".to_owned()), ("Job", "once".to_owned())])
        );
    }

    #[test]
    fn what_names_no_object_is_told() {
        for (words, told) in [
            ("service/api", "\"service\""),
            ("pod", "name of a"),
            ("pod/", "name of a"),
            ("pod/a/b", "name of a"),
            ("pod/a api", "\"api\""),
            ("pod deploy/api", "deploy/api"),
        ] {
            let error = read(words).expect_err(words);
            assert!(error.contains(told), "{words}: {error}");
        }
    }
}
