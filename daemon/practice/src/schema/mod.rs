//! What the fields of an object may be, and how lists and maps merge.
//!
//! Built-in types come from the tables in `types/`; the types of custom
//! resources from their definition's schema.

mod decode;
mod openapi;
mod parse;

use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) use decode::{decode, kind_of};
pub(crate) use openapi::from_open_api;
pub(crate) use parse::{builtin, builtin_names, package};
use serde_json::Value;

/// The type of a field.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Type {
    /// A value without parts.
    Scalar(Scalar),
    /// A type of the built-in tables, by name.
    Named(&'static str),
    /// An object with known fields.
    Struct(Arc<Struct>),
    /// An object whose keys are data.
    Map {
        /// The type of every value.
        of: Arc<Type>,
        /// Merged as a whole.
        atomic: bool,
    },
    /// A list.
    List {
        /// The type of every item.
        of: Arc<Type>,
        /// How two lists merge.
        merge: ListMerge,
    },
    /// Anything: objects merge by key, lists as a whole.
    Any,
}

/// The kinds of value without parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scalar {
    /// true or false
    Bool,
    /// Text.
    Text,
    /// A whole number of 32 bits.
    Int,
    /// A whole number of 64 bits.
    Long,
    /// Any number.
    Number,
    /// A whole number or text, such as a port or a percentage.
    IntOrText,
    /// A quantity such as `500m`.
    Quantity,
    /// A time.
    Time,
    /// Base64.
    Bytes,
}

/// How two lists merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ListMerge {
    /// The newer replaces the older.
    Atomic,
    /// A set of scalars.
    Set,
    /// Items are told apart by these fields.
    Keys(Vec<String>),
}

/// An object with known fields.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Struct {
    /// Name in messages.
    pub(crate) name: String,
    /// The fields by name.
    pub(crate) fields: BTreeMap<String, Field>,
    /// Merged as a whole.
    pub(crate) atomic: bool,
    /// The type of fields that are not named, where such may be.
    pub(crate) others: Option<Type>,
}

/// A field of a struct.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Field {
    /// What it may be.
    pub(crate) ty: Type,
    /// Must be present.
    pub(crate) required: bool,
    /// What it is when absent.
    pub(crate) default: Option<Value>,
    /// May be null.
    pub(crate) nullable: bool,
    /// Further rules of a custom resource's schema.
    pub(crate) rules: Option<Arc<Value>>,
    /// Zero and false are left out of what is stored.
    pub(crate) zero_is_absent: bool,
    /// The numbers that lead to the field in a protobuf message.
    pub(crate) numbers: Vec<u32>,
    /// What a strategic merge patch tells the items of an atomic list apart by.
    pub(crate) patch_key: Option<&'static str>,
    /// A strategic merge patch names the keys that stay.
    pub(crate) retains_keys: bool,
}

impl Field {
    /// An optional field without further rules.
    pub(crate) fn of(ty: Type) -> Self {
        Self {
            ty,
            required: false,
            default: None,
            nullable: false,
            rules: None,
            zero_is_absent: false,
            numbers: Vec::new(),
            patch_key: None,
            retains_keys: false,
        }
    }
}

/// A type as merging sees it.
pub(crate) enum Shape<'a> {
    /// No parts, or parts that only change together.
    Leaf,
    /// An object with known fields.
    Struct,
    /// An object whose keys are data.
    Map(&'a Type),
    /// A set of scalars.
    Set,
    /// A list of items with keys.
    Keyed(&'a Type, &'a [String]),
    /// Decided by the value: objects by key, everything else a leaf.
    Any,
}

impl Type {
    /// The struct behind the type, if it is one.
    pub(crate) fn as_struct(&self) -> Option<&Struct> {
        match self {
            Self::Named(name) => builtin(name),
            Self::Struct(of) => Some(of),
            _ => None,
        }
    }

    /// How a value of the type merges.
    pub(crate) fn shape(&self) -> Shape<'_> {
        match self {
            Self::Scalar(_) => Shape::Leaf,
            Self::Any => Shape::Any,
            Self::Map { atomic: true, .. } => Shape::Leaf,
            Self::Map { of, .. } => Shape::Map(of),
            Self::List { of, merge } => match merge {
                ListMerge::Atomic => Shape::Leaf,
                ListMerge::Set => Shape::Set,
                ListMerge::Keys(keys) => Shape::Keyed(of, keys),
            },
            Self::Named(_) | Self::Struct(_) => match self.as_struct() {
                Some(found) if found.atomic => Shape::Leaf,
                Some(_) => Shape::Struct,
                None => Shape::Any,
            },
        }
    }

    /// The type of a field, whatever the merging.
    pub(crate) fn field(&self, name: &str) -> Option<&Type> {
        match self {
            Self::Map { of, .. } => Some(of),
            Self::Any => Some(&Self::Any),
            _ => {
                let found = self.as_struct()?;
                found.fields.get(name).map(|field| &field.ty).or(found.others.as_ref())
            }
        }
    }

    /// A named field with its rules.
    pub(crate) fn entry(&self, name: &str) -> Option<&Field> {
        self.as_struct()?.fields.get(name)
    }

    /// The value a list key has when an item leaves it out.
    pub(crate) fn key_default(&self, key: &str) -> Option<Value> {
        // The one key with a default among the built-in types.
        if key == "protocol" && matches!(self, Self::Named(_)) {
            return Some(Value::from("TCP"));
        }
        self.as_struct()?.fields.get(key)?.default.clone()
    }
}
