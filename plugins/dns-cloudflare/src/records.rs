//! Records as they are wanted, and what has to be done for that.

use crate::api::Found;
use deployd_plugin_sdk::Fault;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// What one string of a TXT record holds (RFC 1035).
const STRING_BYTES: usize = 255;
/// The longest name, and the longest label of one.
const NAME_BYTES: usize = 253;
const LABEL_BYTES: usize = 63;

/// The types of records that this driver makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Kind {
    #[serde(rename = "A")]
    A,
    #[serde(rename = "AAAA")]
    Aaaa,
    #[serde(rename = "CNAME")]
    Cname,
    #[serde(rename = "TXT")]
    Txt,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Cname => "CNAME",
            Self::Txt => "TXT",
        })
    }
}

impl Kind {
    pub(crate) fn of(text: &str) -> Option<Self> {
        [Self::A, Self::Aaaa, Self::Cname, Self::Txt]
            .into_iter()
            .find(|kind| kind.to_string() == text)
    }

    pub(crate) fn can_be_proxied(self) -> bool {
        self != Self::Txt
    }

    /// A value in the one form that is compared; none when it is no such value.
    pub(crate) fn canonical(self, value: &str) -> Option<String> {
        match self {
            Self::A => value.parse::<Ipv4Addr>().ok().map(|address| address.to_string()),
            Self::Aaaa => value.parse::<Ipv6Addr>().ok().map(|address| address.to_string()),
            Self::Cname => {
                let name = value.trim_end_matches('.').to_ascii_lowercase();
                is_name(&name).then_some(name)
            }
            Self::Txt => Some(unquoted(value)),
        }
    }

    /// A canonical value as the API wants it.
    pub(crate) fn sent(self, value: &str) -> String {
        if self == Self::Txt { quoted(value) } else { value.to_owned() }
    }
}

/// What the definition says that the name leads to.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Records {
    #[serde(rename = "A", default)]
    a: Vec<String>,
    #[serde(rename = "AAAA", default)]
    aaaa: Vec<String>,
    #[serde(rename = "CNAME")]
    cname: Option<String>,
    #[serde(rename = "TXT", default)]
    txt: Vec<String>,
}

impl Records {
    /// Types and values, each once, in order.
    pub(crate) fn wanted(&self) -> Result<Vec<(Kind, String)>, Fault> {
        let mut wanted = Vec::new();
        let cname: Vec<String> = self.cname.iter().cloned().collect();
        for (kind, values) in [(Kind::A, &self.a), (Kind::Aaaa, &self.aaaa), (Kind::Cname, &cname)]
        {
            for value in values {
                let canonical = kind.canonical(value).ok_or_else(|| {
                    let message = format!("{value:?} is no value of such a record");
                    Fault::invalid(format!("/inputs/records/{kind}"), message)
                })?;
                wanted.push((kind, canonical));
            }
        }
        // As they are, quotes and all: only the API has them in quotes.
        wanted.extend(self.txt.iter().map(|text| (Kind::Txt, text.clone())));
        let addresses = self.a.len() + self.aaaa.len();
        if !cname.is_empty() && addresses > 0 {
            return Err(Fault::invalid(
                "/inputs/records/CNAME",
                "a name that is another's alias has no addresses of its own",
            ));
        }
        if wanted.is_empty() {
            return Err(Fault::invalid("/inputs/records", "expected at least one record"));
        }
        wanted.sort();
        wanted.dedup();
        Ok(wanted)
    }
}

/// A record as the API gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Record {
    #[serde(rename = "type")]
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) content: String,
    pub(crate) ttl: u32,
    pub(crate) proxied: bool,
    pub(crate) comment: String,
}

/// What has to be done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) change: Vec<(String, Record)>,
    pub(crate) remove: Vec<String>,
    pub(crate) make: Vec<Record>,
}

/// How records of ours become the wanted ones. One whose value is no longer
/// wanted becomes one of its type that is not there yet.
pub(crate) fn changes(
    there: &[Found],
    wanted: &[(Kind, String)],
    record: impl Fn(Kind, &str) -> Record,
) -> Changes {
    let wanted: Vec<Record> = wanted.iter().map(|(kind, value)| record(*kind, value)).collect();
    let Some(mine) = wanted.first().map(|record| record.comment.clone()) else {
        return Changes::default();
    };
    let mut ours: Vec<&Found> =
        there.iter().filter(|found| found.comment.as_deref() == Some(&mine)).collect();
    let (mut changes, mut missing) = (Changes::default(), Vec::new());
    for record in wanted {
        let value = record.kind.canonical(&record.content);
        let same = ours.iter().position(|found| {
            found.known().is_some_and(|(kind, known)| kind == record.kind && Some(known) == value)
        });
        match same.map(|index| ours.swap_remove(index)) {
            Some(found) if found.is_set_as(&record) => {}
            Some(found) => changes.change.push((found.id.clone(), record)),
            None => missing.push(record),
        }
    }
    for record in missing {
        let spare = ours.iter().position(|found| Kind::of(&found.kind) == Some(record.kind));
        match spare.map(|index| ours.swap_remove(index)) {
            Some(found) => changes.change.push((found.id.clone(), record)),
            None => changes.make.push(record),
        }
    }
    changes.remove = ours.into_iter().map(|found| found.id.clone()).collect();
    changes
}

/// Whether a text is a name: labels of letters, digits, - and _.
pub(crate) fn is_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=LABEL_BYTES).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    name.len() <= NAME_BYTES && name.split('.').all(label)
}

/// A text as strings in quotes, of which a TXT record is made.
fn quoted(text: &str) -> String {
    let mut strings = vec![String::new()];
    let mut room = STRING_BYTES;
    for character in text.chars() {
        if character.len_utf8() > room {
            strings.push(String::new());
            room = STRING_BYTES;
        }
        room -= character.len_utf8();
        if let Some(last) = strings.last_mut() {
            if matches!(character, '"' | '\\') {
                last.push('\\');
            }
            last.push(character);
        }
    }
    strings.iter().map(|string| format!("\"{string}\"")).collect::<Vec<_>>().join(" ")
}

/// The text of strings in quotes. What has none is the text itself.
fn unquoted(content: &str) -> String {
    if !content.starts_with('"') {
        return content.to_owned();
    }
    let (mut text, mut inside) = (String::new(), false);
    let mut characters = content.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => inside = !inside,
            '\\' if inside => text.extend(characters.next()),
            _ if inside => text.push(character),
            _ => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_survive_their_quotes() {
        for text in ["v=spf1 -all", "", "a \"b\" \\ c", &"é".repeat(300)] {
            assert_eq!(unquoted(&quoted(text)), text);
        }
        assert_eq!(quoted(&"x".repeat(256)), format!("\"{}\" \"x\"", "x".repeat(255)));
        assert_eq!(unquoted("plain"), "plain");
    }

    #[test]
    fn values_have_one_form() {
        assert_eq!(Kind::Aaaa.canonical("2001:DB8:0::1").unwrap(), "2001:db8::1");
        assert_eq!(Kind::Cname.canonical("Web.Example.COM.").unwrap(), "web.example.com");
        assert_eq!(Kind::A.canonical("10.0.0.256"), None);
        assert_eq!(Kind::A.canonical("::1"), None);
        assert_eq!(Kind::Cname.canonical("a b"), None);
    }
}
