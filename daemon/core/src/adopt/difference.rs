//! What makes one document of another: a merge patch (RFC 7386).

use serde_json::{Map, Value};

/// The patch from `base` to `wanted`; none when they are equal. `wanted` has no nulls.
pub(super) fn difference(
    base: &Map<String, Value>,
    wanted: &Map<String, Value>,
) -> Map<String, Value> {
    let mut patch = Map::new();
    for (key, value) in wanted {
        match (base.get(key), value) {
            (Some(before), value) if before == value => {}
            // A patch that is empty would not make an empty object of a filled one,
            // but removes what is in it.
            (Some(Value::Object(before)), Value::Object(value)) => {
                patch.insert(key.clone(), Value::Object(difference(before, value)));
            }
            (_, value) => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    for key in base.keys().filter(|key| !wanted.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    patch
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn documents() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            (0_u8..3).prop_map(Value::from),
            "[ab]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[abc]", inner, 0..3)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn objects() -> impl Strategy<Value = Value> {
        prop::collection::btree_map("[abcd]", documents(), 0..4)
            .prop_map(|map| Value::Object(map.into_iter().collect()))
    }

    proptest! {
        #[test]
        fn a_patch_makes_one_of_the_other(mut base in objects(), wanted in objects()) {
            let patch = difference(base.as_object().unwrap(), wanted.as_object().unwrap());
            json_patch::merge(&mut base, &Value::Object(patch));
            prop_assert_eq!(base, wanted);
        }
    }

    #[test]
    fn what_is_equal_needs_no_patch() {
        let one = json!({"a": {"b": [1]}});
        assert_eq!(difference(one.as_object().unwrap(), one.as_object().unwrap()), Map::new());
    }
}
