//! What is in the zone, whose it is, and how it is changed: each change is one
//! update with the prerequisites that make it right.

use crate::definition::Wanted;
use crate::hostname::{self, DnsName};
use crate::message::{Answer, Change, Prerequisite};
use crate::ownership::{Claim, Identity};
use crate::propagation::Seen;
use crate::record::{self, Kind, RecordSet};
use crate::session::{Outcome, Server, Session};
use deployd_plugin_sdk::{Fault, Host};
use domain::base::Rtype;
use domain::base::iana::Rcode;
use std::collections::{BTreeMap, BTreeSet};

/// How often we look again after somebody was quicker. An update of ours whose
/// answer was lost may be done late, once.
const ROUNDS: usize = 3;

/// What may not stand beside a CNAME, of the types that people use. A server
/// leaves a CNAME out that does not fit, and says nothing (RFC 2136, 3.4.2.2).
const NOT_BESIDE_CNAME: [Rtype; 9] = [
    Rtype::A,
    Rtype::AAAA,
    Rtype::TXT,
    Rtype::MX,
    Rtype::NS,
    Rtype::SRV,
    Rtype::CAA,
    Rtype::HTTPS,
    Rtype::SVCB,
];

/// Whose a name is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Owner {
    /// No ownership record is there.
    Nobody,
    /// Ours.
    Us { set: BTreeSet<Vec<u8>>, claim: Claim },
    /// Somebody else's.
    Other { claim: Claim },
}

/// What a server says that there is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    pub(crate) owner: Owner,
    /// Of the types that are wanted or ours; where nothing is, it may be what a
    /// wildcard gives.
    pub(crate) sets: BTreeMap<Kind, RecordSet>,
}

/// Looks at what there is.
pub(crate) fn look(
    session: &mut Session<'_, impl Host>,
    wanted: &Wanted,
    identity: &Identity,
) -> Result<Found, Fault> {
    let answer = session.query(&wanted.ownership, Rtype::TXT)?;
    if !answer.authoritative {
        return Err(Fault::invalid(
            "/inputs/zone",
            format!(
                "{} does not speak for {}: the name has to be in a zone of that server, and not in \
                 a part that it delegates",
                session.server, wanted.name
            ),
        ));
    }
    let owner = owner(&answer, &wanted.ownership, identity);
    let mut kinds: BTreeSet<Kind> = wanted.sets.keys().copied().collect();
    if let Owner::Us { claim, .. } = &owner {
        kinds.extend(&claim.kinds);
    }
    let mut sets = BTreeMap::new();
    for kind in kinds {
        let answer = session.query(&wanted.name, kind.rtype())?;
        sets.extend(set_of(&answer, &wanted.name, kind.rtype()).map(|set| (kind, set)));
    }
    Ok(Found { owner, sets })
}

fn owner(answer: &Answer, name: &DnsName, identity: &Identity) -> Owner {
    let Some(set) = set_of(answer, name, Rtype::TXT) else { return Owner::Nobody };
    let mut claims = set.data.iter().filter_map(|data| Claim::read(data));
    match claims.clone().find(|claim| !identity.is(claim)) {
        Some(claim) => Owner::Other { claim },
        None => match claims.next() {
            Some(claim) => Owner::Us { set: set.data, claim },
            None => Owner::Nobody,
        },
    }
}

fn set_of(answer: &Answer, name: &DnsName, rtype: Rtype) -> Option<RecordSet> {
    if answer.rcode != Rcode::NOERROR {
        return None;
    }
    let records = answer.records.iter().filter(|one| one.rtype == rtype && one.name == *name);
    let ttl = records.clone().map(|record| record.ttl).min()?;
    Some(RecordSet { ttl, data: records.map(|record| record.data.clone()).collect() })
}

/// Whether nothing needs to change.
pub(crate) fn is_as_wanted(found: &Found, wanted: &Wanted, identity: &Identity) -> bool {
    let Owner::Us { set, .. } = &found.owner else { return false };
    found.sets == wanted.sets && set.contains(&identity.data(wanted.sets.keys().copied()))
}

/// Refuses a name that is not ours, and changes nothing. What a wildcard gives is
/// not there: only prerequisites tell.
pub(crate) fn check(
    session: &mut Session<'_, impl Host>,
    wanted: &Wanted,
    found: &Found,
) -> Result<(), Fault> {
    let prerequisites = match &found.owner {
        Owner::Other { claim } => return Err(taken(&wanted.name, claim)),
        Owner::Nobody => free(wanted),
        Owner::Us { set, claim } => kept(wanted, set, claim),
    };
    match session.update(&wanted.zone, &prerequisites, &[])? {
        Outcome::Done => Ok(()),
        Outcome::NotAsAssumed => Err(explain(session, wanted)?),
    }
}

/// That nobody has the name.
fn free(wanted: &Wanted) -> Vec<Prerequisite> {
    let names = [wanted.name.clone(), wanted.ownership.clone()];
    names.into_iter().map(Prerequisite::NameNotInUse).collect()
}

/// That the name is still ours, and that what we add is nobody's.
fn kept(wanted: &Wanted, set: &BTreeSet<Vec<u8>>, claim: &Claim) -> Vec<Prerequisite> {
    let mut prerequisites =
        vec![Prerequisite::Exactly(wanted.ownership.clone(), Rtype::TXT, set.clone())];
    let ours: BTreeSet<Rtype> = claim.kinds.iter().map(|kind| kind.rtype()).collect();
    let mut absent: BTreeSet<Rtype> = wanted.sets.keys().map(|kind| kind.rtype()).collect();
    if wanted.sets.contains_key(&Kind::Cname) {
        absent.extend(NOT_BESIDE_CNAME);
    } else {
        absent.insert(Rtype::CNAME);
    }
    let absent = absent.difference(&ours);
    prerequisites.extend(absent.map(|rtype| Prerequisite::Absent(wanted.name.clone(), *rtype)));
    prerequisites
}

/// Makes it so, in one update, unless it is.
pub(crate) fn converge(
    session: &mut Session<'_, impl Host>,
    wanted: &Wanted,
    identity: &Identity,
) -> Result<(), Fault> {
    let ours = identity.data(wanted.sets.keys().copied());
    let mut done = false;
    for _ in 0..ROUNDS {
        let found = look(session, wanted, identity)?;
        if is_as_wanted(&found, wanted, identity) {
            return Ok(());
        }
        if done {
            return Err(Fault::conflict(format!(
                "{} took the change of {} and does not have it: somebody changes the name at the \
                 same time, or it has records of a type that can't be beside the new ones",
                session.server, wanted.name
            )));
        }
        let (prerequisites, mut changes) = match &found.owner {
            Owner::Other { claim } => return Err(taken(&wanted.name, claim)),
            Owner::Nobody => (free(wanted), Vec::new()),
            Owner::Us { set, claim } => {
                let mut changes: Vec<Change> = claim
                    .kinds
                    .iter()
                    .map(|kind| Change::RemoveAll(wanted.name.clone(), kind.rtype()))
                    .collect();
                let old = set.iter().filter(|data| **data != ours && Claim::read(data).is_some());
                changes.extend(old.map(|data| {
                    Change::Remove(wanted.ownership.clone(), Rtype::TXT, data.clone())
                }));
                (kept(wanted, set, claim), changes)
            }
        };
        changes.push(Change::Add(wanted.ownership.clone(), Rtype::TXT, wanted.ttl, ours.clone()));
        for (kind, set) in &wanted.sets {
            let add = |data: &Vec<u8>| {
                Change::Add(wanted.name.clone(), kind.rtype(), set.ttl, data.clone())
            };
            changes.extend(set.data.iter().map(add));
        }
        done = session.update(&wanted.zone, &prerequisites, &changes)? == Outcome::Done;
        if done {
            session.host.info(&format!("{}: changed {}", session.server, wanted.name));
        }
    }
    Err(explain(session, wanted)?)
}

/// Takes a name away if it is ours; what is not stays.
pub(crate) fn remove(
    session: &mut Session<'_, impl Host>,
    zone: &DnsName,
    name: &DnsName,
    identity: &Identity,
) -> Result<(), Fault> {
    let ownership = hostname::ownership("/inputs/name", name)?;
    for _ in 0..ROUNDS {
        let answer = session.query(&ownership, Rtype::TXT)?;
        let Owner::Us { set, claim } = owner(&answer, &ownership, identity) else {
            return leave(session, zone, name, &ownership);
        };
        let exactly = [Prerequisite::Exactly(ownership.clone(), Rtype::TXT, set.clone())];
        let kinds = claim.kinds.iter();
        let mut changes: Vec<Change> =
            kinds.map(|kind| Change::RemoveAll(name.clone(), kind.rtype())).collect();
        let ours = set.iter().filter(|data| Claim::read(data).is_some());
        changes
            .extend(ours.map(|data| Change::Remove(ownership.clone(), Rtype::TXT, data.clone())));
        if session.update(zone, &exactly, &changes)? == Outcome::Done {
            session.host.info(&format!("{}: removed {name}", session.server));
            return Ok(());
        }
    }
    Err(Fault::conflict(format!(
        "the ownership record at {ownership} changes all the time: who else changes {name}?"
    )))
}

/// Says so when there are records that may have been ours.
fn leave(
    session: &mut Session<'_, impl Host>,
    zone: &DnsName,
    name: &DnsName,
    ownership: &DnsName,
) -> Result<(), Fault> {
    let unused = [Prerequisite::NameNotInUse(name.clone())];
    if session.update(zone, &unused, &[])? == Outcome::NotAsAssumed {
        session.host.warn(&format!(
            "the records of {name} stay: the ownership record at {ownership} is gone or somebody \
             else's"
        ));
    }
    Ok(())
}

/// Whether a server answers with what is wanted.
pub(crate) fn is_answered(
    host: &impl Host,
    server: &Server,
    wanted: &Wanted,
    identity: &Identity,
) -> Result<Seen, Fault> {
    let mut session = Session::open(host, server, None)?;
    let answer = session.query(&wanted.ownership, Rtype::TXT)?;
    if !answer.authoritative {
        return Ok(Seen::NotYet("it does not speak for the zone".to_owned()));
    }
    let found = look(&mut session, wanted, identity)?;
    if is_as_wanted(&found, wanted, identity) {
        return Ok(Seen::AsWanted);
    }
    let mut has: Vec<String> = Vec::new();
    for (kind, set) in &found.sets {
        has.push(format!("{} {}", kind.name(), set.texts(*kind).join(", ")));
    }
    let has = if has.is_empty() { "nothing".to_owned() } else { has.join("; ") };
    Ok(Seen::NotYet(format!("for {} it has {has}", wanted.name)))
}

/// Whether a server has nothing of ours any more. The ownership record goes with
/// all the rest, and no wildcard stands in for it.
pub(crate) fn is_gone(
    host: &impl Host,
    server: &Server,
    name: &DnsName,
    identity: &Identity,
) -> Result<Seen, Fault> {
    let ownership = hostname::ownership("/inputs/name", name)?;
    let mut session = Session::open(host, server, None)?;
    let answer = session.query(&ownership, Rtype::TXT)?;
    if !answer.authoritative {
        return Ok(Seen::NotYet("it does not speak for the zone".to_owned()));
    }
    match owner(&answer, &ownership, identity) {
        Owner::Us { .. } => Ok(Seen::NotYet(format!("it still has {name}"))),
        Owner::Nobody | Owner::Other { .. } => Ok(Seen::AsWanted),
    }
}

fn taken(name: &DnsName, claim: &Claim) -> Fault {
    Fault::conflict(format!(
        "{name} belongs to {}, says the TXT record at {}.{name}: choose another name, or take it \
         away there first",
        claim.who(),
        hostname::OWNERSHIP
    ))
}

/// Why a name can't be taken, with what is there.
fn explain(session: &mut Session<'_, impl Host>, wanted: &Wanted) -> Result<Fault, Fault> {
    let (name, ownership) = (&wanted.name, &wanted.ownership);
    let there = session.query(name, Rtype::ANY)?;
    let types: BTreeSet<String> = there
        .records
        .iter()
        .filter(|one| one.name == *name && !is_of_dnssec(one.rtype))
        .map(|one| one.rtype.to_string())
        .collect();
    let types = Vec::from_iter(types).join(", ");
    let beside = session.query(ownership, Rtype::TXT)?;
    let says = set_of(&beside, ownership, Rtype::TXT).map(|set| {
        let texts = set.data.iter().filter_map(|data| record::joined(data));
        texts.map(|text| format!("{:?}", record::printable(&text))).collect::<Vec<_>>().join(", ")
    });
    let what = match (types.is_empty(), says) {
        (false, None) => format!(
            "{name} has records ({types}) and no ownership record of deployd at {ownership}"
        ),
        (false, Some(says)) => {
            format!("{name} has records ({types}), and the TXT at {ownership} says {says}")
        }
        (true, Some(says)) => format!("the TXT at {ownership} says {says}"),
        (true, None) => format!("{name} or {ownership} was in use just now"),
    };
    Ok(Fault::conflict(format!(
        "{what}: it is not this resource's, and stays as it is; choose another name, or remove \
         what is there"
    )))
}

/// What the server itself puts beside records.
fn is_of_dnssec(rtype: Rtype) -> bool {
    matches!(rtype, Rtype::RRSIG | Rtype::NSEC | Rtype::NSEC3)
}
