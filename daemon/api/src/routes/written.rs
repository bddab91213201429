//! Parameters whose form no schema says in full: a day may be one that there is
//! not in a month. They are read as texts, and what is wrong with one is an
//! invalid request like any other.

use std::borrow::Cow;
use std::fmt::Display;
use std::marker::PhantomData;
use std::str::FromStr;

use deployd_engine::EngineError;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;

use crate::problem::Problem;

/// A parameter as somebody has written it.
#[derive(Deserialize)]
#[serde(from = "String", bound = "")]
pub(super) struct Written<T> {
    text: String,
    means: PhantomData<T>,
}

impl<T> From<String> for Written<T> {
    fn from(text: String) -> Self {
        Self { text, means: PhantomData }
    }
}

impl<T: JsonSchema> JsonSchema for Written<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl<T: FromStr<Err: Display>> Written<T> {
    /// What it means; 422 where it means nothing.
    pub(super) fn read(&self, parameter: &str) -> Result<T, Box<Problem>> {
        self.text.parse().map_err(|error: T::Err| {
            let problem = deployd_engine::Problem::new(parameter, error.to_string());
            EngineError::Invalid { problems: vec![problem] }.into()
        })
    }

    /// The same of one that need not be there.
    pub(super) fn optional(one: Option<&Self>, parameter: &str) -> Result<Option<T>, Box<Problem>> {
        one.map(|one| one.read(parameter)).transpose()
    }
}
