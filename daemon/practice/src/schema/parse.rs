//! The built-in types, read from their tables.
//!
//! One type a line: `Name = field@1:type field!@2.1:type`, where `!` after a
//! field means that it is required and `!` after the name that the type only
//! changes as a whole. After `@` is the field's number in the protobuf message,
//! with the numbers of the messages it is inside of before it.
//! Types: `b` boolean, `s` text, `i` `l` whole numbers of 32 and 64 bits, `n`
//! number, `x` whole number or text, `q` quantity, `t` `u` time, `y` base64, `*`
//! anything, a name; `[T]` an atomic list, `[T]#` a set, `[T]<key,key>` a list
//! of items with keys; `{T}` a map, `{T}!` an atomic one. Behind a type: `~`
//! where zero means absence, `^key` where a strategic merge patch tells items
//! apart although server-side apply does not, `&` where such a patch names the
//! keys that stay.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

use super::{Field, ListMerge, Scalar, Struct, Type};

/// The tables, each with the package of its types.
const TABLES: [(&str, &str); 17] = [
    ("api.admissionregistration.v1", include_str!("types/admissionregistration.types")),
    (
        "apiextensions-apiserver.pkg.apis.apiextensions.v1",
        include_str!("types/apiextensions.types"),
    ),
    ("api.apps.v1", include_str!("types/apps.types")),
    ("api.authentication.v1", include_str!("types/authentication.types")),
    ("api.authorization.v1", include_str!("types/authorization.types")),
    ("api.autoscaling.v2", include_str!("types/autoscaling.types")),
    ("api.batch.v1", include_str!("types/batch.types")),
    ("api.coordination.v1", include_str!("types/coordination.types")),
    ("api.core.v1", include_str!("types/core.types")),
    ("api.discovery.v1", include_str!("types/discovery.types")),
    ("apimachinery.pkg.apis.meta.v1", include_str!("types/meta.types")),
    ("api.networking.v1", include_str!("types/networking.types")),
    ("api.node.v1", include_str!("types/node.types")),
    ("api.policy.v1", include_str!("types/policy.types")),
    ("api.rbac.v1", include_str!("types/rbac.types")),
    ("api.scheduling.v1", include_str!("types/scheduling.types")),
    ("api.storage.v1", include_str!("types/storage.types")),
];

static TYPES: LazyLock<HashMap<&'static str, Struct>> =
    LazyLock::new(|| lines().filter_map(|(_, line)| parse_line(line)).collect());

static PACKAGES: LazyLock<HashMap<&'static str, &'static str>> = LazyLock::new(|| {
    lines()
        .filter_map(|(package, line)| {
            Some((line.split_once(" = ")?.0.trim_end_matches('!'), package))
        })
        .collect()
});

fn lines() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLES.iter().flat_map(|(package, table)| table.lines().map(|line| (*package, line)))
}

/// A built-in type by its name.
pub(crate) fn builtin(name: &str) -> Option<&'static Struct> {
    TYPES.get(name)
}

/// The names of all built-in types.
pub(crate) fn builtin_names() -> impl Iterator<Item = &'static str> {
    TYPES.keys().copied()
}

/// The package of a built-in type, as the published schemas name it.
pub(crate) fn package(name: &str) -> &'static str {
    PACKAGES.get(name).copied().unwrap_or("api.core.v1")
}

fn parse_line(line: &'static str) -> Option<(&'static str, Struct)> {
    let (head, body) = line.split_once(" = ")?;
    let (name, atomic) = match head.strip_suffix('!') {
        Some(name) => (name, true),
        None => (head, false),
    };
    let mut fields = BTreeMap::new();
    for entry in body.split_ascii_whitespace() {
        let (field, ty) = entry.split_once(':')?;
        let (name, found) = parse_field(field, ty);
        fields.insert(name.to_owned(), found);
    }
    let found = Struct { name: name.to_owned(), fields, atomic, others: None };
    Some((name, found))
}

fn parse_field(field: &'static str, ty: &'static str) -> (&'static str, Field) {
    let (name, numbers) = field.split_once('@').unwrap_or((field, ""));
    let (name, required) = match name.strip_suffix('!') {
        Some(name) => (name, true),
        None => (name, false),
    };
    let (ty, retains_keys) = match ty.strip_suffix('&') {
        Some(ty) => (ty, true),
        None => (ty, false),
    };
    let (ty, patch_key) = match ty.split_once('^') {
        Some((ty, key)) => (ty, Some(key)),
        None => (ty, None),
    };
    let (ty, zero_is_absent) = match ty.strip_suffix('~') {
        Some(ty) => (ty, true),
        None => (ty, false),
    };
    let numbers = numbers.split('.').filter_map(|number| number.parse().ok()).collect();
    let found = Field {
        required,
        zero_is_absent,
        numbers,
        patch_key,
        retains_keys,
        ..Field::of(parse_type(ty))
    };
    (name, found)
}

fn parse_type(text: &'static str) -> Type {
    if let Some(rest) = text.strip_prefix('[') {
        let (inner, tail) = rest.rsplit_once(']').unwrap_or((rest, ""));
        let merge = match tail.strip_prefix('<').and_then(|t| t.strip_suffix('>')) {
            Some(keys) => ListMerge::Keys(keys.split(',').map(str::to_owned).collect()),
            None if tail == "#" => ListMerge::Set,
            None => ListMerge::Atomic,
        };
        return Type::List { of: Arc::new(parse_type(inner)), merge };
    }
    if let Some(rest) = text.strip_prefix('{') {
        let (inner, tail) = rest.rsplit_once('}').unwrap_or((rest, ""));
        return Type::Map { of: Arc::new(parse_type(inner)), atomic: tail == "!" };
    }
    Type::Scalar(match text {
        "b" => Scalar::Bool,
        "s" => Scalar::Text,
        "i" => Scalar::Int,
        "l" => Scalar::Long,
        "n" => Scalar::Number,
        "x" => Scalar::IntOrText,
        "q" => Scalar::Quantity,
        "t" | "u" => Scalar::Time,
        "y" => Scalar::Bytes,
        "*" => return Type::Any,
        name => return Type::Named(name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(of: &Type, place: &str) {
        match of {
            Type::Named(name) => assert!(builtin(name).is_some(), "{place}: no type {name}"),
            Type::Map { of, .. } | Type::List { of, .. } => check(of, place),
            _ => {}
        }
    }

    #[test]
    fn every_named_type_is_in_the_tables() {
        let lines: usize = TABLES.iter().map(|(_, t)| t.matches(" = ").count()).sum();
        assert_eq!(TYPES.len(), lines, "two types share a name");
        for (name, found) in TYPES.iter() {
            for (field, of) in &found.fields {
                check(&of.ty, &format!("{name}.{field}"));
            }
        }
    }

    #[test]
    fn containers_are_told_apart_by_name_and_tolerations_are_not() {
        let pod = builtin("PodSpec").unwrap();
        let merge = |field: &str| match &pod.fields[field].ty {
            Type::List { merge, .. } => merge.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(merge("containers"), ListMerge::Keys(vec!["name".into()]));
        assert_eq!(merge("tolerations"), ListMerge::Atomic);
        assert!(builtin("LabelSelector").unwrap().atomic);
    }
}
