//! Whose a name is: the text beside it.

use crate::Dns;
use crate::record::{self, Kind};
use deployd_plugin_sdk::driver::Request;
use std::collections::BTreeSet;

/// What each ownership record begins with.
const MARK: &str = "deployd";

/// Who we are, for a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    installation: String,
    uid: String,
    application: String,
    environment: String,
}

/// What an ownership record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    installation: String,
    uid: String,
    application: String,
    environment: String,
    /// The types at the name that are the owner's.
    pub(crate) kinds: BTreeSet<Kind>,
}

impl Identity {
    pub(crate) fn of(request: &Request<Dns>) -> Self {
        Self {
            installation: word(request.inputs.installation.as_str()),
            uid: word(&request.uid),
            application: word(&request.scope.application),
            environment: word(&request.scope.environment),
        }
    }

    /// The data of our record for a name with these types.
    pub(crate) fn data(&self, kinds: impl Iterator<Item = Kind>) -> Vec<u8> {
        record::strings(&self.text(kinds))
    }

    /// The text of it.
    pub(crate) fn text(&self, kinds: impl Iterator<Item = Kind>) -> String {
        let Self { installation, uid, application, environment } = self;
        let kinds: Vec<&str> = kinds.map(Kind::name).collect();
        format!(
            "{MARK} installation={installation} uid={uid} application={application} \
             environment={environment} types={}",
            kinds.join(",")
        )
    }

    /// Whether a claim is ours. Application and environment are for people: the
    /// uid stands for both.
    pub(crate) fn is(&self, claim: &Claim) -> bool {
        self.installation == claim.installation && self.uid == claim.uid
    }
}

impl Claim {
    /// What a record's data says; none if it is no ownership record.
    pub(crate) fn read(data: &[u8]) -> Option<Self> {
        let text = String::from_utf8(record::joined(data)?).ok()?;
        let mut words = text.split(' ');
        if words.next() != Some(MARK) {
            return None;
        }
        let mut claim = Self {
            installation: String::new(),
            uid: String::new(),
            application: String::new(),
            environment: String::new(),
            kinds: BTreeSet::new(),
        };
        // What a later version adds is not for us.
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            match key {
                "installation" => value.clone_into(&mut claim.installation),
                "uid" => value.clone_into(&mut claim.uid),
                "application" => value.clone_into(&mut claim.application),
                "environment" => value.clone_into(&mut claim.environment),
                "types" => claim.kinds = value.split(',').filter_map(Kind::named).collect(),
                _ => {}
            }
        }
        (!claim.uid.is_empty()).then_some(claim)
    }

    /// Who that is, for a person.
    pub(crate) fn who(&self) -> String {
        let shown = |text: &str| record::printable(text.as_bytes());
        format!(
            "the resource {} of application {}, environment {} (installation {} of deployd)",
            shown(&self.uid),
            shown(&self.application),
            shown(&self.environment),
            shown(&self.installation)
        )
    }
}

/// A text as one word.
fn word(text: &str) -> String {
    let fits = |c: char| c.is_ascii_graphic() && c != '"' && c != '\\';
    text.chars().map(|c| if fits(c) { c } else { '_' }).collect()
}
