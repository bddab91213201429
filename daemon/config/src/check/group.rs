//! Groups.

use deployd_core::access::RESERVED;

use super::{Entry, World};
use crate::path::Path;
use crate::problem::Problem;
use crate::shown;

pub(super) fn check(entry: &Entry, _: &World<'_>, problems: &mut Vec<Problem>) {
    for field in ["members", "claims"] {
        for (place, name) in entry.items(&format!("/spec/{field}")).enumerate() {
            let Some(name) = name.as_str() else { continue };
            let source = name.split_once(':').map_or(name, |(issuer, _)| issuer);
            if RESERVED.contains(&source) {
                let path = Path::of(["spec", field]).then(place);
                let expected = "the name of a token, or of an issuer and one of its identities: this is nobody who could be in a group";
                problems.push(Problem::at_value(path, shown::quoted(name), expected));
            }
        }
    }
}
