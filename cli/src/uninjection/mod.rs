//! Takes out of an object what policies put into its pods.
//!
//! Nothing in a pod says what of it was put in, so the heart is asked: what the policies may have put
//! in is taken out, and they are injected again. What does not come back as it was, or comes back at
//! another place, is the app's own and stays. So injecting the result always gives the object again.

mod candidates;
#[cfg(test)]
mod laws;
mod place;

use std::collections::{BTreeMap, BTreeSet};

use crds::keys;
use inject::{Notice, Reason};

use crate::{
    document::{Node, Value},
    facts::Facts,
    injection::{self, Decided, Report},
    objects::Identity,
    policies::Contents,
};
use candidates::Candidate;
use place::{Place, Step, behind, contains, fields, find, find_mut, neighbours_before};

/// What became of an object.
#[derive(Debug)]
pub(crate) struct Removal {
    /// The object, in its namespace.
    pub(crate) object: Identity,
    /// Whether it was changed.
    pub(crate) changed: bool,
    /// What was put in, or may have been, and is not taken out; and why.
    pub(crate) left: Vec<String>,
    /// What people should know of what was taken out.
    pub(crate) notes: Vec<String>,
}

/// Takes out of an object what the policies put into its pods. `None` for an object whose pods do not
/// say that anything was put in.
pub(crate) fn take_out_of(
    object: &mut Node,
    facts: &Facts,
    policies: &[Contents<'_>],
) -> Result<Option<Removal>, injection::Error> {
    let Some(identity) = Identity::of(object) else { return Ok(None) };
    let Some(template) = identity.pod_template() else { return Ok(None) };
    let root: Place = fields(template.path).collect();
    let record = Record::read(object, &root);
    if !record.is_there {
        return Ok(None);
    }
    let mut removal = Removal {
        object: identity.or_namespace(&facts.default_namespace),
        changed: false,
        left: Vec::new(),
        notes: Vec::new(),
    };
    let Some(report) = injection::inject_into(&mut object.clone(), facts)? else { return Ok(None) };
    let going = going(&record, &report, &mut removal.left);
    let unknown = record.policies.keys().any(|policy| !is_given(policy, policies));
    if unknown || (going.is_empty() && !record.policies.is_empty()) {
        return Ok(Some(removal));
    }
    let mut attempt = Attempt::new(object, root, &record, &going, policies);
    if let Some(taken) = attempt.settle(facts)? {
        removal.left.extend(attempt.left);
        removal.notes.extend(attempt.notes);
        removal.changed = true;
        *object = taken;
    } else {
        removal.left.push(
            "nothing was taken out: the policies would not put the same in again, so what they put in \
             cannot be told from the app's own"
                .to_owned(),
        );
    }
    Ok(Some(removal))
}

fn is_given(policy: &str, policies: &[Contents<'_>]) -> bool {
    policies.iter().any(|given| given.id.to_string() == policy)
}

/// What a pod says of what was put into it.
struct Record {
    /// Whether it has a key of ours.
    is_there: bool,
    /// Policy -> revision.
    policies: BTreeMap<String, String>,
}

impl Record {
    fn read(object: &Node, root: &[Step]) -> Self {
        let value = |key| {
            let annotation = behind(root, fields(&["metadata", "annotations", key]));
            find(object, &annotation).and_then(Node::text)
        };
        let injected = value(keys::INJECTED);
        Self {
            is_there: own_places(root).iter().any(|place| find(object, place).is_some()),
            policies: injected.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default(),
        }
    }
}

/// Where a pod has what is written about injection itself.
fn own_places(root: &[Step]) -> [Place; 4] {
    [
        ["metadata", "labels", keys::INJECTED],
        ["metadata", "annotations", keys::INJECTED],
        ["metadata", "annotations", keys::SKIPPED],
        ["metadata", "annotations", keys::PLACE],
    ]
    .map(|keys| behind(root, fields(&keys)))
}

/// The recorded policies that go out: those of which everything is there, as the heart says.
fn going(record: &Record, report: &Report, left: &mut Vec<String>) -> BTreeSet<String> {
    let mut going = BTreeSet::new();
    for policy in record.policies.keys() {
        let decided = report.decisions.iter().find(|found| found.policy.to_string() == *policy);
        let why = match decided {
            None if report.unreadable.is_some() => "the pods cannot be read".to_owned(),
            None => "it is not among the policies given; give all that were injected".to_owned(),
            Some(Decided { reason: Reason::AlreadyInjected, notices, .. }) => {
                let altered = |notice: &&Notice| matches!(notice, Notice::SidecarAltered { .. });
                let Some(notice) = notices.iter().find(altered) else {
                    going.insert(policy.clone());
                    continue;
                };
                notice.to_string()
            }
            Some(Decided { reason: Reason::Injected, .. }) => {
                "not all of it is there; give the policy as it was when it was injected".to_owned()
            }
            Some(Decided { reason, .. }) => reason.to_string(),
        };
        left.push(format!("{policy} was not taken out: {why}"));
    }
    going
}

/// An attempt to take out as much as comes back.
struct Attempt<'a> {
    object: &'a Node,
    root: Place,
    going: &'a BTreeSet<String>,
    /// Whether it comes from an API server, which fills in defaults and orders keys anew.
    is_stored: bool,
    /// What is taken out.
    out: BTreeSet<Place>,
    /// Those of `out` whose place tells nothing.
    anywhere: BTreeSet<Place>,
    /// Those of `out` that may have been longer values, with what may stand before an addition.
    appended: BTreeMap<Place, BTreeSet<String>>,
    /// Values that stay, without what was added to them.
    shortened: BTreeMap<Place, String>,
    /// The record of what stays in.
    record: Option<(Place, String)>,
    grace_period: Option<Place>,
    /// Lists and maps that stay although they are empty.
    stays_empty: BTreeSet<Place>,
    left: Vec<String>,
    notes: Vec<String>,
}

impl<'a> Attempt<'a> {
    fn new(
        object: &'a Node,
        root: Place,
        record: &Record,
        going: &'a BTreeSet<String>,
        policies: &[Contents<'_>],
    ) -> Self {
        let mut attempt = Self {
            object,
            going,
            is_stored: find(object, &fields(&["metadata", "uid"]).collect::<Place>()).is_some(),
            out: BTreeSet::new(),
            anywhere: BTreeSet::new(),
            appended: BTreeMap::new(),
            shortened: BTreeMap::new(),
            record: None,
            grace_period: None,
            stays_empty: BTreeSet::new(),
            left: Vec::new(),
            notes: Vec::new(),
            root,
        };
        let sidecars = policies.iter().flat_map(|given| &given.spec.sidecars);
        let sidecars: BTreeSet<&str> = sidecars.map(|sidecar| sidecar.name.as_str()).collect();
        let pod = candidates::Pod { object, root: &attempt.root.clone(), sidecars: &sidecars };
        let is_going = |given: &&Contents<'_>| going.contains(&given.id.to_string());
        let (going_out, staying): (Vec<&Contents<'_>>, Vec<&Contents<'_>>) =
            policies.iter().partition(is_going);
        for given in going_out {
            for candidate in pod.candidates(given.id, given.spec) {
                attempt.add(candidate);
            }
        }
        let is_in = |given: &&&Contents<'_>| record.policies.contains_key(&given.id.to_string());
        for given in staying.iter().filter(is_in) {
            for candidate in pod.candidates(given.id, given.spec) {
                attempt.out.remove(candidate.place());
            }
        }
        attempt.add_record(record);
        attempt.add_carried();
        attempt.out.retain(|place| find(object, place).is_some());
        for place in attempt.appended.keys().filter(|place| find(object, place).is_none()) {
            attempt.left.push(format!(
                "{}: what may have been added to the value stays, for there are two of that name",
                place::shown(place)
            ));
        }
        attempt.keep_volumes_of(&sidecars);
        attempt
    }

    fn add(&mut self, candidate: Candidate) {
        let place = match candidate {
            Candidate::Plain(place) => place,
            Candidate::Compared(place) => {
                // The app may have a volume of that name itself; nobody has such a container.
                if !place::is_element_of(&place, "volumes") {
                    self.anywhere.insert(place.clone());
                }
                place
            }
            Candidate::Appended(place, separator) => {
                self.appended.entry(place.clone()).or_default().insert(separator);
                place
            }
            Candidate::GracePeriod(place) => {
                self.grace_period = Some(place.clone());
                place
            }
        };
        self.out.insert(place);
    }

    /// What is written about injection goes, or is cut down to the policies that stay.
    fn add_record(&mut self, record: &Record) {
        let staying: BTreeMap<&String, &String> =
            record.policies.iter().filter(|(policy, _)| !self.going.contains(*policy)).collect();
        if staying.is_empty() {
            for place in own_places(&self.root) {
                self.anywhere.insert(place.clone());
                self.out.insert(place);
            }
        } else if let Ok(text) = serde_json::to_string(&staying) {
            let place = behind(&self.root, fields(&["metadata", "annotations", keys::INJECTED]));
            self.record = Some((place, text));
        }
    }

    /// Annotations that were carried from the workload into its pod template, and their record.
    fn add_carried(&mut self) {
        if self.root.is_empty() {
            return;
        }
        let record = fields(&["metadata", "annotations", keys::CARRIED]).collect::<Place>();
        let text = find(self.object, &record).and_then(Node::text).unwrap_or_default();
        let carried: BTreeMap<String, String> = serde_json::from_str(text).unwrap_or_default();
        for key in carried.keys() {
            let place = behind(&self.root, fields(&["metadata", "annotations", key]));
            self.anywhere.insert(place.clone());
            self.out.insert(place);
        }
        if !carried.is_empty() {
            self.anywhere.insert(record.clone());
            self.out.insert(record);
        }
    }

    /// A volume stays if a sidecar that stays mounts it.
    fn keep_volumes_of(&mut self, sidecars: &BTreeSet<&str>) {
        let mut used: BTreeSet<&str> = BTreeSet::new();
        for list in ["containers", "initContainers"] {
            let list = behind(&self.root, fields(&["spec", list]));
            for container in find(self.object, &list).map(Node::items).unwrap_or_default() {
                let name = container.text_of("name").unwrap_or_default();
                let place = behind(&list, [Step::Element(name.to_owned())]);
                if !sidecars.contains(name) || self.out.contains(&place) {
                    continue;
                }
                let mounts = container.get("volumeMounts").map(Node::items).unwrap_or_default();
                used.extend(mounts.iter().filter_map(|mount| mount.text_of("name")));
            }
        }
        let volumes = behind(&self.root, fields(&["spec", "volumes"]));
        for name in used {
            self.out.remove(&behind(&volumes, [Step::Element(name.to_owned())]));
        }
    }

    /// Takes out less and less, until all that is out comes back. `None` if that is never so.
    fn settle(&mut self, facts: &Facts) -> Result<Option<Node>, injection::Error> {
        loop {
            let place::Without { object: mut taken, emptied } =
                place::without(self.object, &self.out, &self.stays_empty);
            self.write_values(&mut taken);
            let mut again = taken.clone();
            let Some(report) = injection::inject_into(&mut again, facts)? else { return Ok(None) };
            let comes_back = |policy: &String| {
                report
                    .decisions
                    .iter()
                    .any(|found| found.policy.to_string() == *policy && found.is_injected())
            };
            if report.denied.is_some() || !self.going.iter().all(comes_back) {
                return Ok(None);
            }
            let removed: BTreeSet<Place> = self.out.union(&emptied).cloned().collect();
            if !self.restore(&again, &removed, &emptied) {
                self.tell_of_grace_period();
                return Ok(Some(taken));
            }
        }
    }

    fn write_values(&self, taken: &mut Node) {
        let record = self.record.iter().map(|(place, text)| (place, text));
        for (place, text) in self.shortened.iter().chain(record) {
            let value = match find_mut(taken, place) {
                Some(variable) if self.shortened.contains_key(place) => variable.get_mut("value"),
                found => found,
            };
            if let Some(value) = value {
                value.value = Value::Text(text.clone());
            }
        }
    }

    /// Restores what does not come back, or elsewhere. Whether there was any such thing.
    fn restore(
        &mut self,
        again: &Node,
        removed: &BTreeSet<Place>,
        emptied: &BTreeSet<Place>,
    ) -> bool {
        let mut stays: Vec<Place> = self
            .out
            .iter()
            .filter(|place| !self.comes_back(place, again, removed))
            .cloned()
            .collect();
        if stays.is_empty() {
            stays.extend(self.comes_back_in_another_order(again));
        }
        for place in &stays {
            self.out.remove(place);
            self.shorten(place, again);
            self.tell_of_own(place, again);
            let value = |object| find(object, place).map(Node::to_json);
            if value(again) != value(self.object) {
                // A policy would have raised it to another value.
                self.grace_period.take_if(|grace_period| grace_period == place);
            }
        }
        let shortened_in_vain: Vec<Place> = self
            .shortened
            .iter()
            .filter(|(place, _)| {
                let value = |object| find(object, place).and_then(|found| found.text_of("value"));
                !stays.contains(place) && value(again) != value(self.object)
            })
            .map(|(place, _)| place.clone())
            .collect();
        for place in &shortened_in_vain {
            self.shortened.remove(place);
            self.left.push(format!(
                "{}: what the policy adds to the value stays, for it does not stand at its end",
                place::shown(place)
            ));
        }
        let elsewhere = emptied.iter().filter(|place| !self.is_in_place(place, again, removed));
        let elsewhere: Vec<Place> = elsewhere.cloned().collect();
        let progress = !stays.is_empty() || !shortened_in_vain.is_empty() || !elsewhere.is_empty();
        self.stays_empty.extend(elsewhere);
        progress
    }

    fn comes_back(&self, place: &Place, again: &Node, removed: &BTreeSet<Place>) -> bool {
        if self.anywhere.contains(place) {
            return true;
        }
        let (Some(was), Some(is)) = (find(self.object, place), find(again, place)) else {
            return false;
        };
        if !self.is_stored {
            return was.to_json() == is.to_json() && self.is_in_place(place, again, removed);
        }
        // The heart has compared them.
        let is_volume = place::is_element_of(place, "volumes");
        (is_volume || contains(was, is)) && self.is_in_place(place, again, removed)
    }

    /// Whether it comes back before and behind the same neighbours, as far as that tells anything.
    fn is_in_place(&self, place: &Place, again: &Node, removed: &BTreeSet<Place>) -> bool {
        let is_key = matches!(place.last(), Some(Step::Field(_)));
        if is_key && self.is_stored {
            return self.grace_period.as_ref() != Some(place);
        }
        neighbours_before(self.object, place, removed) == neighbours_before(again, place, removed)
    }

    /// The elements of lists, one of each, that come back before others which they stood behind. Of those that
    /// changed places it is the one that the app is likelier to have brought.
    fn comes_back_in_another_order(&self, again: &Node) -> Vec<Place> {
        let mut lists: BTreeMap<&[Step], Vec<&Place>> = BTreeMap::new();
        for place in self.out.difference(&self.anywhere) {
            if let Some((Step::Element(_), list)) = place.split_last() {
                lists.entry(list).or_default().push(place);
            }
        }
        let nothing = BTreeSet::new();
        let own = lists.into_iter().filter_map(|(list, mut elements)| {
            let position = |object, element: &Place| neighbours_before(object, element, &nothing);
            elements.sort_by_key(|element| position(self.object, element));
            let mut again_in_order = elements.clone();
            again_in_order.sort_by_key(|element| position(again, element));
            let mut moved = elements.iter().zip(again_in_order).filter(|(was, is)| *was != is);
            // Sources of variables go in before the app's, for the last of them decides.
            let goes_before = matches!(list.last(), Some(Step::Field(list)) if list == "envFrom");
            let own = if goes_before { moved.next_back() } else { moved.next() };
            own.map(|(was, _)| (*was).clone())
        });
        own.collect()
    }

    /// Tells of what the policy would bring too, and is taken for the app's own.
    fn tell_of_own(&mut self, place: &Place, again: &Node) {
        let (Some(was), Some(is)) = (find(self.object, place), find(again, place)) else { return };
        if contains(was, is) && self.grace_period.as_ref() != Some(place) {
            self.notes.push(format!(
                "{} stays as the app's own: injection would put the same to another place, or spell it otherwise",
                place::shown(place)
            ));
        }
    }

    /// Takes what was added off the end of a value that stays.
    fn shorten(&mut self, place: &Place, again: &Node) {
        let Some(separators) = self.appended.get(place) else { return };
        let value = |object| find(object, place).and_then(|found: &Node| found.text_of("value"));
        let (Some(was), Some(ours)) = (value(self.object), value(again)) else { return };
        let own = was.strip_suffix(ours).and_then(|rest| {
            separators.iter().find_map(|separator| rest.strip_suffix(separator.as_str()))
        });
        if let Some(own) = own.filter(|own| !own.is_empty()) {
            self.shortened.insert(place.clone(), own.to_owned());
        } else if was.contains(ours) && was != ours {
            self.left.push(format!(
                "{}: what the policy adds to the value stays, for it does not stand at its end",
                place::shown(place)
            ));
        }
    }

    fn tell_of_grace_period(&mut self) {
        let Some(place) = &self.grace_period else { return };
        let Some(seconds) = find(self.object, place).map(Node::to_json) else { return };
        let shown = place::shown(place);
        if self.out.contains(place) {
            self.notes.push(format!(
                "{shown}: {seconds} was taken out; if the app asked for less itself, set that again: \
                 nothing tells what it was"
            ));
        } else {
            self.left.push(format!(
                "{shown}: {seconds} stays; the policy may have raised it, and nothing tells from what"
            ));
        }
    }
}
