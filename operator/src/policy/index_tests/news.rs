//! What is told of pods that come.

use super::*;

#[test]
fn news_are_of_pods_that_came_and_of_what_they_miss() {
    let mut index = index();
    let told = |index: &mut Index| -> Vec<(String, What)> {
        index.take_news().into_iter().map(|news| (news.pod, news.what)).collect()
    };
    index.set_pod(pod("a", &injected(&revision(), true)));
    index.set_pod(pod("b", &skipped("why")));
    index.set_pod(pod("c", &json!({})));
    let expected = [
        ("a".to_owned(), What::Injected),
        ("b".to_owned(), What::Skipped("why".into())),
        ("c".to_owned(), What::Missing),
    ];
    assert_eq!(told(&mut index), expected);
    index.set_pod(pod("a", &injected(&revision(), false)));
    index.set_pod(pod("c", &of("db", "2026-11-21T00:00:00Z", true)));
    assert_eq!(told(&mut index), [("c".to_owned(), What::Missing)], "it is another pod by its uid");
    index.set_policy(policy(&PolicyId::cluster("mesh"), &spec()));
    assert_eq!(told(&mut index).len(), 3, "all lack a policy that comes later");
    let audit = PolicySpec { mode: crds::Mode::Audit, ..spec() };
    index.set_policy(policy(&PolicyId::cluster("audit"), &audit));
    assert_eq!(told(&mut index), [], "nothing was to go in");
}

#[test]
fn only_pods_that_come_without_a_policy_are_missed() {
    let mut index = index();
    let missed = |index: &mut Index| -> Vec<(String, i64)> {
        let missed = index.take_missed().into_iter();
        missed.map(|missed| (missed.policy.to_string(), missed.created)).collect()
    };
    index.set_pod(pod("a", &injected(&revision(), true)));
    index.set_pod(pod("b", &skipped("why")));
    index.set_pod(pod("c", &of("api", "2026-11-21T00:00:00Z", true)));
    assert_eq!(missed(&mut index), [("shop/log".to_owned(), 1_795_219_200)]);
    index.set_pod(pod("c", &of("api", "2026-11-21T00:00:00Z", false)));
    index.set_policy(policy(&PolicyId::cluster("mesh"), &spec()));
    assert_eq!(missed(&mut index), [], "what is there already does not come");
    let audit = PolicySpec { mode: crds::Mode::Audit, ..spec() };
    index.set_policy(policy(&log(), &audit));
    index.set_policy(policy(&PolicyId::cluster("mesh"), &audit));
    index.set_pod(pod("d", &json!({})));
    assert_eq!(missed(&mut index), [], "nothing was to go in");
}

#[test]
fn nothing_is_told_of_what_was_there_at_the_start_but_what_it_misses() {
    let mut index = Index::new(Exclusions::new("system", &[]));
    index.set_namespace(namespace(SHOP));
    index.set_policy(policy(&log(), &spec()));
    index.set_pod(pod("a", &injected(&revision(), true)));
    index.set_pod(pod("b", &json!({})));
    index.start_counting();
    let told: Vec<_> = index.take_news().into_iter().map(|news| news.what).collect();
    assert_eq!(told, [What::Missing]);
}
