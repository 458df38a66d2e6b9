//! When workloads are mended, and when no more.

use super::*;

fn id(name: &str) -> WorkloadId {
    WorkloadId {
        kind: WorkloadKind::Deployment,
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        uid: format!("uid-{name}"),
    }
}

fn missed(name: &str, asked: u64, resource_version: i64) -> Missed {
    Missed {
        id: id(name),
        asked,
        resource_version: resource_version.to_string(),
        keys: vec!["sidecarpolicy.dev/inject".to_owned()],
        remedy: Remedy::Carry,
    }
}

impl Repairs {
    fn sees(&mut self, missed: &Missed, now: i64) {
        self.see(&missed.id, Some(missed.clone()), now);
    }

    /// What is tried now, by name, with a webhook that has always been there.
    fn tried(&mut self, now: i64) -> Vec<String> {
        self.due(Some(0), now).0.into_iter().map(|missed| missed.id.name).collect()
    }
}

#[test]
fn a_workload_is_mended_a_moment_after_it_was_last_changed_and_once() {
    let mut repairs = Repairs::default();
    repairs.sees(&missed("api", 1, 10), 100);
    repairs.sees(&missed("api", 2, 11), 103);
    assert_eq!(repairs.next_look(), Some(108));
    assert_eq!(repairs.tried(107), Vec::<String>::new());
    assert_eq!(repairs.tried(108), ["api"]);
    assert_eq!(repairs.tried(120), Vec::<String>::new(), "it is under way");
    let news = repairs.end(missed("api", 2, 11), &Outcome::Carried, 121).unwrap();
    assert_eq!(news.what, What::Carried);
    repairs.see(&id("api"), None, 122);
    assert_eq!((repairs.tried(100_000), repairs.next_look()), (vec![], None));
}

#[test]
fn its_own_status_does_not_put_a_repair_off() {
    let mut repairs = Repairs::default();
    for second in 100..105 {
        repairs.sees(&missed("api", 1, second), second);
    }
    assert_eq!(repairs.due(Some(0), 105).0[0].resource_version, "104", "the newest is mended");
}

#[test]
fn nothing_is_rolled_while_the_webhook_is_away_or_only_just_back() {
    let mut repairs = Repairs::default();
    repairs.sees(&missed("api", 1, 10), 100);
    assert_eq!(repairs.due(None, 1000), (vec![], vec![]));
    assert_eq!(repairs.due(Some(1000), 1004), (vec![], vec![]));
    assert_eq!(repairs.due(Some(1000), 1005).0.len(), 1);
}

#[test]
fn a_refusal_is_tried_again_ever_more_seldom_and_told_once() {
    let mut repairs = Repairs::default();
    let refused = Outcome::Refused("exceeded quota".to_owned());
    repairs.sees(&missed("api", 1, 10), 0);
    let (mut tries, mut told) = (Vec::new(), Vec::new());
    for now in 0..DAY {
        repairs.sees(&missed("api", 1, 10 + now), now);
        for missed in repairs.due(Some(-100), now).0 {
            tries.push(now);
            told.extend(repairs.end(missed, &refused, now));
        }
    }
    assert_eq!(tries[..4], [5, 15, 35, 75]);
    assert!(tries.len() < 35, "{} tries in a day", tries.len());
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].what, What::Refused("exceeded quota".to_owned()));
    // Other annotations are another matter.
    repairs.sees(&missed("api", 2, 5), DAY);
    assert_eq!(repairs.tried(DAY + 5), ["api"]);
}

#[test]
fn one_that_cannot_be_mended_holds_nobody_up() {
    let mut repairs = Repairs::default();
    repairs.sees(&missed("bad", 1, 10), 0);
    repairs.sees(&missed("good", 1, 11), 0);
    assert_eq!(repairs.tried(5), ["bad", "good"]);
    repairs.end(missed("bad", 1, 10), &Outcome::Refused(String::new()), 6);
    repairs.end(missed("good", 1, 11), &Outcome::Carried, 6);
    repairs.sees(&missed("late", 1, 12), 6);
    assert_eq!(repairs.tried(11), ["late"]);
}

/// A tool that takes out what was carried, as often as it is carried.
#[test]
fn what_somebody_undoes_is_not_mended_without_end() {
    let mut repairs = Repairs::default();
    let (mut rollouts, mut undone) = (0, 0);
    for now in 0..DAY {
        repairs.sees(&missed("api", 1, now), now);
        let (due, news) = repairs.due(Some(-100), now);
        undone += news.iter().filter(|news| news.what == What::Undone).count();
        for missed in due {
            rollouts += 1;
            repairs.end(missed, &Outcome::Carried, now);
            repairs.see(&id("api"), None, now);
        }
    }
    assert_eq!((rollouts, undone), (3, 1));
    repairs.sees(&missed("api", 1, DAY), 2 * DAY);
    assert_eq!(repairs.tried(2 * DAY), ["api"], "a day later it is tried again");
}

#[test]
fn many_at_once_are_spread_and_all_get_their_turn() {
    let mut repairs = Repairs::default();
    for number in 0..100 {
        repairs.sees(&missed(&format!("api-{number}"), 1, number), 0);
    }
    let (mut by_second, mut all) = (Vec::new(), 0);
    for now in 5..200 {
        let due = repairs.due(Some(0), now).0;
        assert!(due.len() <= AT_ONCE);
        by_second.push(due.len());
        for missed in due {
            all += 1;
            repairs.end(missed.clone(), &Outcome::Carried, now);
            repairs.see(&missed.id, None, now);
        }
    }
    assert_eq!(all, 100);
    assert!(by_second.iter().take(10).sum::<usize>() <= 20, "{by_second:?}");
}

#[test]
fn a_version_that_is_gone_is_mended_in_the_one_that_is_there() {
    let mut repairs = Repairs::default();
    repairs.sees(&missed("api", 1, 10), 0);
    assert_eq!(repairs.tried(5), ["api"]);
    repairs.sees(&missed("api", 1, 11), 5);
    assert_eq!(repairs.end(missed("api", 1, 10), &Outcome::Outdated, 6), None);
    let due = repairs.due(Some(0), 11).0;
    assert_eq!(due[0].resource_version, "11");
}

#[test]
fn other_annotations_that_come_while_a_repair_is_under_way_wait_for_it() {
    let mut repairs = Repairs::default();
    repairs.sees(&missed("api", 1, 10), 0);
    assert_eq!(repairs.tried(5), ["api"]);
    repairs.sees(&missed("api", 2, 11), 6);
    assert_eq!(repairs.tried(20), Vec::<String>::new());
    assert!(repairs.end(missed("api", 1, 10), &Outcome::Outdated, 21).is_none());
    assert_eq!(repairs.tried(22), ["api"]);
}

#[test]
fn a_list_tells_which_are_gone() {
    let mut repairs = Repairs::default();
    repairs.sees(&missed("gone", 1, 10), 0);
    repairs.sees(&missed("here", 1, 11), 0);
    repairs.begin_list(WorkloadKind::Deployment);
    repairs.sees(&missed("here", 1, 11), 1);
    repairs.end_list(WorkloadKind::StatefulSet, 2);
    assert_eq!(repairs.cases.len(), 2, "that list was of another kind");
    repairs.end_list(WorkloadKind::Deployment, 2);
    assert_eq!(repairs.tried(10), ["here"]);
    repairs.remove(&id("here"));
    assert!(repairs.cases.is_empty());
}

#[test]
fn a_job_is_told_of_once() {
    let mut repairs = Repairs::default();
    let job = Missed { remedy: Remedy::Tell, ..missed("batch", 1, 10) };
    let mut told = Vec::new();
    for now in 0..100 {
        repairs.sees(&job, now);
        told.extend(repairs.due(None, now).1);
    }
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].what, What::TooLate);
    assert_eq!(repairs.next_look(), None);
}

#[test]
fn workloads_that_lack_nothing_take_no_memory() {
    let mut repairs = Repairs::default();
    for number in 0..10_000 {
        repairs.see(&id(&number.to_string()), None, 0);
    }
    assert_eq!(repairs.cases.capacity(), 0);
    repairs.sees(&missed("api", 1, 10), 0);
    repairs.see(&id("api"), None, 1);
    assert!(repairs.cases.is_empty());
}
