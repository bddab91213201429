//! Names as people write them.

use deployd_plugin_sdk::Fault;
use domain::base::Name;

/// A name of DNS, whole.
pub(crate) type DnsName = Name<Vec<u8>>;

/// The label of ownership records.
pub(crate) const OWNERSHIP: &str = "_deployd";

/// The longest label (RFC 1035).
const LABEL_MAX: usize = 63;
/// The longest name, as bytes of a message (RFC 1035).
const NAME_MAX: usize = 255;

/// A name of letters, digits, `-` and `_`, in lower case, with or without the dot
/// at its end. Escapes are refused, and so are letters beyond ASCII: which name
/// they stand for is for who registers it to say.
pub(crate) fn parse(path: &str, text: &str) -> Result<DnsName, Fault> {
    let invalid = |message: String| Fault::invalid(path, message);
    if !text.is_ascii() {
        let message = format!("{text:?} has letters beyond ASCII: write the name's xn-- form");
        return Err(invalid(message));
    }
    let plain = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    for label in plain.split('.') {
        if label.is_empty() {
            return Err(invalid(format!("{text:?} is no name: it has an empty label")));
        }
        if label.len() > LABEL_MAX {
            return Err(invalid(format!(
                "the label {label} of {text:?} has {} characters; DNS takes {LABEL_MAX}",
                label.len()
            )));
        }
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if !label.bytes().all(fits) || label.starts_with('-') || label.ends_with('-') {
            return Err(invalid(format!(
                "the label {label:?} of {text:?} may have letters, digits, - and _ only, and no - \
                 at its ends"
            )));
        }
    }
    whole(path, &plain)
}

/// A name below a zone, whose first label may be `*`.
pub(crate) fn below(path: &str, text: &str, zone: &DnsName) -> Result<DnsName, Fault> {
    let name = match text.strip_prefix("*.") {
        Some(rest) => whole(path, &format!("*.{}", parse(path, rest)?))?,
        None => parse(path, text)?,
    };
    if !name.ends_with(zone) {
        return Err(Fault::invalid(path, format!("{name} is not in the zone {zone}")));
    }
    if name == *zone {
        return Err(Fault::invalid(
            path,
            format!("{name} is the zone itself, whose records are not for this driver"),
        ));
    }
    if name.iter().any(|label| label.as_slice() == OWNERSHIP.as_bytes()) {
        return Err(Fault::invalid(
            path,
            format!("{name} has the label {OWNERSHIP}, which is for ownership records"),
        ));
    }
    Ok(name)
}

/// Where it stands whose a name is.
pub(crate) fn ownership(path: &str, name: &DnsName) -> Result<DnsName, Fault> {
    whole(path, &format!("{OWNERSHIP}.{name}"))
}

fn whole(path: &str, text: &str) -> Result<DnsName, Fault> {
    DnsName::vec_from_str(text).map_err(|_| {
        Fault::invalid(path, format!("{text} is too long: as bytes, a name has {NAME_MAX} at most"))
    })
}
