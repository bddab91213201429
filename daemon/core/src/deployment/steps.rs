//! Steps of a deployment, and values that many states have in common.
//!
//! A state is copied with every event, and two states are compared to see what
//! an event has changed. Both cost next to nothing here, however many steps
//! there are: what did not change is the same piece of memory in both.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::step::{Step, StepId};

/// A value that is not copied with the state that it is in.
#[derive(Debug)]
pub struct Shared<T>(Arc<T>);

impl<T> Shared<T> {
    /// Whether both are the same piece of memory; if not, they may be equal.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T: Clone> Shared<T> {
    /// To change it, here alone.
    pub fn change(&mut self) -> &mut T {
        Arc::make_mut(&mut self.0)
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Default> Default for Shared<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> From<T> for Shared<T> {
    fn from(value: T) -> Self {
        Self(Arc::new(value))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: PartialEq> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other) || *self.0 == *other.0
    }
}

impl<T: Serialize> Serialize for Shared<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Shared<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self::from)
    }
}

impl<T: JsonSchema> JsonSchema for Shared<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> std::borrow::Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// Steps in the order in which they came up, found by their names. A name is
/// there once.
#[derive(Debug, Clone, Default)]
pub struct Steps {
    list: Vec<Shared<Step>>,
    places: Arc<HashMap<StepId, usize>>,
}

impl Steps {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// In their order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Step> + ExactSizeIterator + Clone {
        self.list.iter().map(Deref::deref)
    }

    /// In their order, to be compared with those of another state.
    pub fn shared(&self) -> &[Shared<Step>] {
        &self.list
    }

    /// The step with this name.
    pub fn find(&self, id: &str) -> Option<&Step> {
        self.list.get(*self.places.get(id)?).map(Deref::deref)
    }

    /// The step with this name, to be changed; its name stays.
    pub fn find_mut(&mut self, id: &str) -> Option<&mut Step> {
        self.list.get_mut(*self.places.get(id)?).map(Shared::change)
    }

    /// The newest.
    pub fn last(&self) -> Option<&Step> {
        self.list.last().map(Deref::deref)
    }

    /// The newest, to be changed; its name stays.
    pub fn last_mut(&mut self) -> Option<&mut Step> {
        self.list.last_mut().map(Shared::change)
    }

    /// Adds one. Where there is one of this name already, that stays the one
    /// that is found.
    pub fn push(&mut self, step: Step) {
        self.push_shared(step.into());
    }

    fn push_shared(&mut self, step: Shared<Step>) {
        let place = self.list.len();
        Arc::make_mut(&mut self.places).entry(step.id.clone()).or_insert(place);
        self.list.push(step);
    }
}

impl PartialEq for Steps {
    fn eq(&self, other: &Self) -> bool {
        self.list == other.list
    }
}

impl FromIterator<Step> for Steps {
    fn from_iter<I: IntoIterator<Item = Step>>(steps: I) -> Self {
        steps.into_iter().map(Shared::from).collect()
    }
}

impl FromIterator<Shared<Step>> for Steps {
    fn from_iter<I: IntoIterator<Item = Shared<Step>>>(steps: I) -> Self {
        let mut all = Self::default();
        for step in steps {
            all.push_shared(step);
        }
        all
    }
}

impl From<Vec<Step>> for Steps {
    fn from(steps: Vec<Step>) -> Self {
        steps.into_iter().collect()
    }
}

impl<'s> IntoIterator for &'s Steps {
    type Item = &'s Step;
    type IntoIter =
        std::iter::Map<std::slice::Iter<'s, Shared<Step>>, fn(&'s Shared<Step>) -> &'s Step>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.iter().map(Deref::deref)
    }
}

impl Serialize for Steps {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.list.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Steps {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<Shared<Step>>::deserialize(deserializer).map(|steps| steps.into_iter().collect())
    }
}

impl JsonSchema for Steps {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        Vec::<Step>::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Vec::<Step>::json_schema(generator)
    }
}
