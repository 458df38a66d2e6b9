//! Conditions by what is known of a policy.

use rstest::rstest;

use super::*;

const AGREES: Verdict = Verdict::Agrees { pod_security: None };

fn coverage(serving: usize, endpoints: usize, problem: Option<&str>) -> Coverage {
    Coverage { serving, endpoints, problem: problem.map(ToOwned::to_owned), kept: None }
}

fn applied() -> Configuration {
    Configuration::Applied { merged: false }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn evaluate(
    acceptance: &Acceptance,
    coverage: Coverage,
    configuration: Configuration,
    previous: &[Condition],
    now: i64,
) -> Vec<Condition> {
    let id = id();
    let facts = Facts {
        id: &id,
        generation: 7,
        acceptance,
        clashing: &Clashing::default(),
        dry_run: &AGREES,
        coverage,
        configuration,
        only_begun: false,
        progress: Progress::on_recreate(false),
    };
    conditions(&facts, previous, at(now))
}

fn id() -> PolicyId {
    PolicyId::namespaced("shop", "log")
}

/// The conditions of a policy that is served and clashes with others.
fn evaluate_clashing(clashing: &Clashing) -> Vec<Condition> {
    let facts = Facts {
        id: &id(),
        generation: 7,
        acceptance: &Acceptance::Accepted,
        clashing,
        dry_run: &AGREES,
        coverage: coverage(2, 2, None),
        configuration: applied(),
        only_begun: false,
        progress: Progress::complete(3),
    };
    conditions(&facts, &[], at(0))
}

fn find<'c>(conditions: &'c [Condition], kind: &str) -> &'c Condition {
    conditions.iter().find(|condition| condition.type_ == kind).unwrap()
}

#[rstest]
#[case::all_serve(coverage(2, 2, None), applied(), "True", "Serving", "2 of 2")]
#[case::one_of_two(coverage(1, 2, None), applied(), "False", "WebhookNotServing", "1 of 2")]
#[case::one_does_not_answer(
    coverage(1, 2, Some("10.0.0.3:8443: no connection")),
    applied(),
    "False",
    "WebhookNotServing",
    "10.0.0.3:8443: no connection"
)]
#[case::none_is_there(
    coverage(0, 0, None),
    applied(),
    "False",
    "WebhookNotServing",
    "no webhook replica is ready"
)]
#[case::not_configured(
    coverage(2, 2, None), Configuration::Pending("it is missing".to_owned()),
    "False", "WebhookNotConfigured", "it is missing"
)]
#[case::a_partition_is_not_served_yet(
    Coverage { kept: Some(Kept::At("old".to_owned())), ..coverage(1, 2, None) }, applied(),
    "False", "WebhookNotServing", "and revision old for the share of new pods"
)]
#[case::a_partition_without_a_content(
    Coverage { kept: Some(Kept::Lost("old".to_owned())), ..coverage(2, 2, None) }, applied(),
    "True", "Serving", "the content of revision old is not stored"
)]
#[case::a_partition_whose_content_is_of_no_use(
    Coverage {
        kept: Some(Kept::Unusable("old".to_owned(), "it lacks x".to_owned())), ..coverage(2, 2, None)
    },
    applied(), "True", "Serving", "revision old cannot go into pods any more (it lacks x)"
)]
#[case::not_seen(
    coverage(2, 2, None),
    Configuration::NotSeen(Doubt::NotCalled("it has not loaded the mutating one".to_owned())),
    "False", "WebhookConfigurationNotSeen",
    "does not call the webhook by its current configuration: it has not loaded the mutating one"
)]
#[case::nobody_can_ask(
    coverage(2, 2, None),
    Configuration::NotSeen(Doubt::NotAsked("podtemplates is forbidden".to_owned())),
    "Unknown", "WebhookConfigurationNotSeen", "could not be asked whether it calls the webhook by its current configuration, and is asked again: podtemplates is forbidden"
)]
#[case::nothing_to_call(
    coverage(0, 0, None),
    Configuration::NotSeen(Doubt::NotCalled("no endpoints available".to_owned())),
    "False", "WebhookNotServing", "no webhook replica is ready"
)]
#[case::merged(
    coverage(2, 2, None), Configuration::Applied { merged: true },
    "True", "Serving", "merged with others"
)]
fn readiness_is_a_promise(
    #[case] coverage: Coverage,
    #[case] configuration: Configuration,
    #[case] status: &str,
    #[case] reason: &str,
    #[case] message: &str,
) {
    let found = evaluate(&Acceptance::Accepted, coverage, configuration, &[], 0);
    let ready = find(&found, "Ready");
    assert_eq!((ready.status.as_str(), ready.reason.as_str()), (status, reason));
    assert!(ready.message.contains(message), "{}", ready.message);
    assert_eq!(find(&found, "Accepted").status, "True");
}

#[rstest]
#[case(Acceptance::Invalid("spec.sidecars[0].image: is required".to_owned()), "Invalid", "spec.sidecars[0].image")]
#[case(Acceptance::NamespaceExcluded, "NamespaceExcluded", "namespace shop is excluded")]
fn what_is_not_accepted_is_not_ready(
    #[case] acceptance: Acceptance,
    #[case] reason: &str,
    #[case] message: &str,
) {
    let found = evaluate(&acceptance, coverage(2, 2, None), applied(), &[], 0);
    let accepted = find(&found, "Accepted");
    assert_eq!((accepted.status.as_str(), accepted.reason.as_str()), ("False", reason));
    assert!(accepted.message.contains(message), "{}", accepted.message);
    let ready = find(&found, "Ready");
    assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", "NotAccepted"));
    let progressing = find(&found, "Progressing");
    assert_eq!(
        (progressing.status.as_str(), progressing.reason.as_str()),
        ("False", "NotAccepted")
    );
}

fn clash_with(other: PolicyId) -> Clash {
    Clash {
        policy: id(),
        other,
        collision: inject::Collision::Container {
            name: "side".to_owned(),
            field: "image".to_owned(),
        },
        path: "spec.sidecars[0].image".to_owned(),
        other_path: "spec.sidecars[1].image".to_owned(),
        pod_labels: [].into(),
    }
}

#[test]
fn a_policy_that_gives_way_says_to_which_and_goes_on() {
    let others = [PolicyId::cluster("all"), PolicyId::namespaced("shop", "a")];
    let gives_way = others.map(clash_with).into();
    let found = evaluate_clashing(&Clashing { gives_way, ..Clashing::default() });
    let accepted = find(&found, "Accepted");
    assert_eq!((accepted.status.as_str(), accepted.reason.as_str()), ("False", "Clash"));
    assert_eq!(
        accepted.message,
        "spec.sidecars[0].image: clashes with spec.sidecars[1].image of ClusterSidecarPolicy cluster/all: both have a container \"side\", with another image; rename one, make them equal, or let shop/log and cluster/all select different pods; spec.sidecars[0].image: clashes with spec.sidecars[1].image of SidecarPolicy shop/a: both have a container \"side\", with another image; rename one, make them equal, or let shop/log and shop/a select different pods"
    );
    let ready = find(&found, "Ready");
    assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", "NotAccepted"));
    let progressing = find(&found, "Progressing");
    assert_eq!(progressing.reason, "Complete", "the pods that only it reaches follow");
}

#[test]
fn a_policy_to_which_others_give_way_is_accepted_and_names_them() {
    let other = |id, goes_before| Other { id, goes_before };
    let others = vec![
        other(PolicyId::namespaced("shop", "a"), false),
        other(PolicyId::namespaced("shop", "b"), true),
    ];
    let told = |more| Clashing { others: others.clone(), more, ..Clashing::default() };
    let found = evaluate_clashing(&told(false));
    let accepted = find(&found, "Accepted");
    assert_eq!((accepted.status.as_str(), accepted.reason.as_str()), ("True", "Valid"));
    assert_eq!(
        accepted.message,
        "the policy compiles; SidecarPolicy shop/a clashes with it and gives way; SidecarPolicy shop/b clashes with it and goes before it, by its priority"
    );
    assert_eq!(find(&found, "Ready").status, "True");
    let found = evaluate_clashing(&told(true));
    assert!(find(&found, "Accepted").message.ends_with("; so do others"));
}

#[rstest]
#[case(0, 0, "the policy compiles")]
#[case(
    3,
    0,
    "the policy compiles; 3 SidecarPolicies of namespaces clash with it and give way; each says so in its own status"
)]
#[case(
    1,
    2,
    "the policy compiles; 1 SidecarPolicy of a namespace clashes with it and gives way; 2 SidecarPolicies of namespaces clash with it and go before it, by their priority; each says so in its own status"
)]
#[case(
    0,
    1,
    "the policy compiles; 1 SidecarPolicy of a namespace clashes with it and goes before it, by its priority; each says so in its own status"
)]
fn of_the_policies_of_namespaces_only_the_number_is_told(
    #[case] give_way: usize,
    #[case] go_before: usize,
    #[case] message: &str,
) {
    let of_namespaces = OfNamespaces { give_way, go_before };
    let found = evaluate_clashing(&Clashing { of_namespaces, ..Clashing::default() });
    let accepted = find(&found, "Accepted");
    assert_eq!((accepted.status.as_str(), accepted.message.as_str()), ("True", message));
}

/// The conditions of a policy that is served, by what the API server thinks of it.
fn evaluate_dry_run(
    dry_run: &Verdict,
    clashing: &Clashing,
    previous: &[Condition],
) -> Vec<Condition> {
    let facts = Facts {
        id: &id(),
        generation: 7,
        acceptance: &Acceptance::Accepted,
        clashing,
        dry_run,
        coverage: coverage(2, 2, None),
        configuration: applied(),
        only_begun: false,
        progress: Progress::on_recreate(false),
    };
    conditions(&facts, previous, at(0))
}

#[rstest]
#[case::not_asked_yet(Verdict::Pending, "Unknown", "DryRunPending", "is being asked", "False")]
#[case::no_answer(
    Verdict::Unanswered("podtemplates is forbidden".to_owned()),
    "Unknown", "DryRunFailed", "podtemplates is forbidden", "True"
)]
#[case::no_sample(
    Verdict::NoSample("it wants too much".to_owned()),
    "True", "Valid", "was not asked about it, because no pod can be made up for it: it wants too much", "True"
)]
#[case::agrees(AGREES, "True", "Valid", "the policy compiles", "True")]
#[case::pod_security(
    Verdict::Agrees { pod_security: Some("runAsNonRoot != true".to_owned()) },
    "True", "Valid", "level restricted it is left out, unless the pod itself settles this: runAsNonRoot != true", "True"
)]
#[case::unknown_field(
    Verdict::UnknownField("unknown field \"spec.sidecars[0].foo\"".to_owned()),
    "False", "UnknownField", "unknown field \"spec.sidecars[0].foo\"", "False"
)]
#[case::refused(
    Verdict::Refused("spec.sidecars[0].image: Invalid value".to_owned()),
    "False", "RefusedByAPIServer", "spec.sidecars[0].image: Invalid value", "False"
)]
fn what_the_api_server_thinks_counts(
    #[case] dry_run: Verdict,
    #[case] status: &str,
    #[case] reason: &str,
    #[case] message: &str,
    #[case] is_ready: &str,
) {
    let found = evaluate_dry_run(&dry_run, &Clashing::default(), &[]);
    let accepted = find(&found, "Accepted");
    assert_eq!((accepted.status.as_str(), accepted.reason.as_str()), (status, reason));
    assert!(accepted.message.contains(message), "{}", accepted.message);
    assert_eq!(find(&found, "Ready").status, is_ready);
}

#[test]
fn a_new_operator_takes_nothing_back_while_it_asks() {
    let refused = Verdict::Refused("no".to_owned());
    for answer in [AGREES, refused] {
        let before = evaluate_dry_run(&answer, &Clashing::default(), &[]);
        let found = evaluate_dry_run(&Verdict::Pending, &Clashing::default(), &before);
        assert_eq!(found, before);
    }
    let mut before = evaluate_dry_run(&AGREES, &Clashing::default(), &[]);
    for condition in &mut before {
        condition.observed_generation = Some(6);
    }
    let found = evaluate_dry_run(&Verdict::Pending, &Clashing::default(), &before);
    assert_eq!(find(&found, "Accepted").reason, "DryRunPending", "of another generation");
    assert_eq!(find(&found, "Ready").status, "False");
}

/// Conditions by an operator that has not seen anything of the webhook.
fn evaluate_begun(previous: &[Condition], generation: i64) -> Vec<Condition> {
    let facts = Facts {
        id: &id(),
        generation,
        acceptance: &Acceptance::Accepted,
        clashing: &Clashing::default(),
        dry_run: &AGREES,
        coverage: Coverage::default(),
        configuration: Configuration::Pending("not read yet".to_owned()),
        only_begun: true,
        progress: Progress::on_recreate(false),
    };
    conditions(&facts, previous, at(9))
}

#[test]
fn a_new_operator_keeps_a_promise_until_it_has_looked() {
    let ready = evaluate(&Acceptance::Accepted, coverage(2, 2, None), applied(), &[], 0);
    assert_eq!(evaluate_begun(&ready, 7), ready);
    let of_another_generation = evaluate_begun(&ready, 8);
    assert_eq!(find(&of_another_generation, "Ready").reason, "WebhookNotConfigured");

    let not_ready = evaluate(&Acceptance::Accepted, coverage(1, 2, None), applied(), &[], 0);
    for previous in [&not_ready[..], &[]] {
        let found = evaluate_begun(previous, 7);
        assert_eq!(find(&found, "Ready").message, "not read yet", "nothing was promised");
    }
}

#[test]
fn a_clash_is_told_unless_the_api_server_objects() {
    let clashing =
        Clashing { gives_way: vec![clash_with(PolicyId::cluster("all"))], ..Clashing::default() };
    for (dry_run, reason) in [
        (Verdict::Pending, "Clash"),
        (Verdict::Unanswered(String::new()), "Clash"),
        (AGREES, "Clash"),
        (Verdict::Refused(String::new()), "RefusedByAPIServer"),
    ] {
        let found = evaluate_dry_run(&dry_run, &clashing, &[]);
        assert_eq!(find(&found, "Accepted").reason, reason);
        assert_eq!(find(&found, "Ready").status, "False");
    }
}

#[test]
fn a_transition_time_changes_with_the_status_only() {
    let accepted = Acceptance::Accepted;
    let first = evaluate(&accepted, coverage(0, 2, None), applied(), &[], 100);
    let second = evaluate(&accepted, coverage(1, 2, None), applied(), &first, 200);
    assert_ne!(find(&first, "Ready").message, find(&second, "Ready").message);
    assert_eq!(find(&second, "Ready").last_transition_time, Time(at(100)));
    let third = evaluate(&accepted, coverage(2, 2, None), applied(), &second, 300);
    assert_eq!(find(&third, "Ready").last_transition_time, Time(at(300)));
    assert_eq!(find(&third, "Accepted").last_transition_time, Time(at(100)));
    assert!(third.iter().all(|condition| condition.observed_generation == Some(7)));
}

#[test]
fn long_messages_are_cut_at_a_character() {
    let problems = Acceptance::Invalid("ü".repeat(40_000));
    let found = evaluate(&problems, Coverage::default(), applied(), &[], 0);
    let message = &find(&found, "Accepted").message;
    assert!(message.len() <= MESSAGE_LENGTH && message.ends_with("ü..."));
}
