//! Counting on gives what counting anew would.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Pod(u8, u8),
    RemovePod(u8),
    Policy(u8),
    RemovePolicy,
    Namespace(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..6u8, 0..9u8).prop_map(|(name, look)| Step::Pod(name, look)),
        2 => (0..6u8).prop_map(Step::RemovePod),
        2 => (0..4u8).prop_map(Step::Policy),
        1 => Just(Step::RemovePolicy),
        1 => any::<bool>().prop_map(Step::Namespace),
    ];
    prop::collection::vec(step, 0..40)
}

fn look(number: u8) -> Value {
    match number {
        0 => json!({}),
        1 => injected(&revision(), true),
        2 => injected(&revision(), false),
        3 => asking("10m", "0123"),
        4 => skipped("one"),
        5 => skipped("two"),
        6 => opted_out(),
        7 => asking("20m", &revision()),
        _ => json!({ "status": { "phase": "Succeeded" } }),
    }
}

fn variant(number: u8) -> PolicySpec {
    match number {
        0 => spec(),
        3 => PolicySpec { sidecars: vec![brought("api")], ..spec() },
        1 => PolicySpec { activation: Activation::OnRequest, ..spec() },
        _ => PolicySpec { opt_out: OptOut::Denied, ..spec() },
    }
}

proptest! {
    /// Whatever happens in whatever order: the sums hold, and a fresh count gives the same.
    #[test]
    fn counting_on_equals_counting_anew(steps in steps()) {
        let mut index = index();
        let mut pods: BTreeMap<u8, u8> = BTreeMap::new();
        let mut current = Some(0);
        let mut skips_all = false;
        for step in steps {
            match step {
                Step::Pod(name, number) => {
                    pods.insert(name, number);
                    index.set_pod(pod(&format!("pod-{name}"), &look(number)));
                }
                Step::RemovePod(name) => {
                    pods.remove(&name);
                    index.remove_pod(SHOP, &format!("pod-{name}"));
                }
                Step::Policy(number) => {
                    current = Some(number);
                    index.set_policy(policy(&log(), &variant(number)));
                }
                Step::RemovePolicy => {
                    current = None;
                    index.remove_policy(&log());
                }
                Step::Namespace(skips) => {
                    skips_all = skips;
                    index.set_namespace(annotated(skips));
                }
            }
            let counts = counts(&index);
            prop_assert_eq!(counts.matched, counts.injected + counts.skipped + counts.missing);
            prop_assert_eq!(counts.injected, counts.current + counts.outdated);
            prop_assert!(counts.ready <= counts.injected);
        }
        let mut fresh = Index::new(Exclusions::new("system", &[]));
        fresh.set_namespace(annotated(skips_all));
        for (name, number) in pods {
            fresh.set_pod(pod(&format!("pod-{name}"), &look(number)));
        }
        if let Some(number) = current {
            fresh.set_policy(policy(&log(), &variant(number)));
        }
        fresh.start_counting();
        prop_assert_eq!(index.counts(&log()), fresh.counts(&log()));
        prop_assert_eq!(index.overhead(&log()), fresh.overhead(&log()));
    }
}

fn annotated(skips: bool) -> Namespace {
    let annotation = ("sidecarpolicy.dev/skip".to_owned(), "log".to_owned());
    Namespace { annotations: skips.then_some(annotation).into_iter().collect(), ..namespace(SHOP) }
}
