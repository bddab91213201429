//! What containers mount: volumes of a pod, and the resources that stand behind them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::difference::difference;
use super::escape::placeholders;
use super::object::{items, text};
use crate::score::Volume;

/// Sources of volumes that are objects of their own: the field of the volume, that of
/// the name in it, and the kind.
const OBJECTS: [(&str, &str, &str); 3] = [
    ("persistentVolumeClaim", "claimName", "PersistentVolumeClaim"),
    ("configMap", "name", "ConfigMap"),
    ("secret", "secretName", "Secret"),
];

/// Objects that workloads may mount, by kind and name, with the resources that they are.
#[derive(Debug, Default)]
pub(super) struct Offered(BTreeMap<(String, String), (String, bool)>);

impl Offered {
    pub(super) fn add(&mut self, key: (String, String), resource: String, is_own: bool) {
        self.0.insert(key, (resource, is_own));
    }

    /// The name of the resource.
    pub(super) fn resource(&self, key: &(String, String)) -> Option<&str> {
        self.0.get(key).map(|(resource, _)| resource.as_str())
    }

    /// Whether one workload alone mounts it.
    pub(super) fn is_own(&self, key: &(String, String)) -> bool {
        self.0.get(key).is_some_and(|(_, is_own)| *is_own)
    }
}

/// The volume's field, the object's kind and its name, where a volume is an object.
fn referred(volume: &Value) -> Option<(&'static str, (String, String))> {
    OBJECTS.into_iter().find_map(|(field, name, kind)| {
        let name = text(volume, &format!("/{field}/{name}"))?;
        Some((field, (kind.to_owned(), name.to_owned())))
    })
}

/// The objects that a controller's pods mount.
pub(super) fn mounted(controller: &Value) -> BTreeSet<(String, String)> {
    let volumes = items(controller, "/spec/template/spec/volumes");
    volumes.iter().filter_map(|volume| Some(referred(volume)?.1)).collect()
}

/// The volumes of a pod, as far as Score can say them.
#[derive(Debug, Default)]
pub(super) struct Volumes {
    /// By name: the source as Score has it.
    sources: BTreeMap<String, String>,
    /// Items of the kept list, in the order of the pod.
    pub(super) kept: Vec<Value>,
    /// The objects that are mounted by way of resources.
    pub(super) uses: BTreeSet<(String, String)>,
    /// Fields that Score can't say.
    pub(super) besides: Vec<String>,
}

/// What a volume is made of, as Score and as the templater have it.
struct Made {
    text: String,
    source: Map<String, Value>,
    uses: Option<(String, String)>,
}

impl Volumes {
    /// Reads the volumes of a pod, which mounts those of these names in places that Score
    /// can say.
    pub(super) fn of(pod: &Value, mounted: &BTreeSet<String>, offered: &Offered) -> Self {
        let list = items(pod, "/volumes");
        let made: Vec<Option<Made>> = list.iter().map(|volume| made(volume, offered)).collect();
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        for made in made.iter().flatten() {
            *times.entry(&made.text).or_default() += 1;
        }
        let mut volumes = Self::default();
        for (volume, made) in list.iter().zip(&made) {
            let name = text(volume, "/name").unwrap_or_default();
            // Two volumes of the same source would be one to Score.
            let alone = |made: &&Made| times.get(made.text.as_str()) == Some(&1);
            let made = made.as_ref().filter(alone).filter(|_| mounted.contains(name));
            let (Some(made), Some(fields)) = (made, volume.as_object()) else {
                volumes.kept.push(json!({"kept": volume}));
                volumes.besides.push(format!("spec.template.spec.volumes[{name}]"));
                continue;
            };
            let mut base = made.source.clone();
            base.insert("name".to_owned(), name.into());
            let with = difference(&base, fields);
            let mut item = Map::from_iter([("score".to_owned(), name.into())]);
            if !with.is_empty() {
                let fields = with.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                volumes.besides.push(format!("spec.template.spec.volumes[{name}] {fields}"));
                item.insert("with".to_owned(), Value::Object(with));
            }
            volumes.kept.push(Value::Object(item));
            volumes.sources.insert(name.to_owned(), made.text.clone());
            volumes.uses.extend(made.uses.clone());
        }
        volumes
    }

    /// A mount as Score has it, and its item of the kept list; none where Score can't
    /// say it.
    pub(super) fn mount(&self, mount: &Value) -> Option<(String, Volume, Value)> {
        let fields = mount.as_object()?;
        let name = text(mount, "/name")?;
        let source = self.sources.get(name)?;
        let target = target(mount)?;
        let inside =
            text(mount, "/subPath").filter(|path| !path.is_empty() && !path.starts_with('/'));
        let read_only = (mount.get("readOnly") == Some(&Value::Bool(true))).then_some(true);
        let mut base = Map::from_iter([("mountPath".to_owned(), target.into())]);
        base.extend(inside.map(|path| ("subPath".to_owned(), path.into())));
        base.extend(read_only.map(|_| ("readOnly".to_owned(), true.into())));
        // Score's volume has another name.
        let with = difference(&base, fields);
        let volume = Volume { source: source.clone(), path: inside.map(str::to_owned), read_only };
        Some((target.to_owned(), volume, json!({"score": target, "with": with})))
    }
}

/// Where something is mounted, if Score can say it.
pub(super) fn target(mount: &Value) -> Option<&str> {
    text(mount, "/mountPath").filter(|path| path.starts_with('/') && !path.contains(':'))
}

fn made(volume: &Value, offered: &Offered) -> Option<Made> {
    let source: Map<String, Value> = volume
        .as_object()?
        .iter()
        .filter(|(key, _)| *key != "name")
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if source.len() != 1 {
        return None;
    }
    let Some((field, key)) = referred(volume) else {
        let text = placeholders(&Value::Object(source.clone()).to_string());
        return Some(Made { text, source, uses: None });
    };
    let of_name = OBJECTS.iter().find(|(known, _, _)| *known == field).map(|(_, name, _)| *name)?;
    let source = Map::from_iter([(field.to_owned(), json!({of_name: key.1}))]);
    let text = match offered.resource(&key) {
        Some(resource) => format!("${{resources.{resource}.source}}"),
        None if field == "persistentVolumeClaim" => placeholders(&key.1),
        None => placeholders(&Value::Object(source.clone()).to_string()),
    };
    let uses = offered.resource(&key).is_some().then_some(key);
    Some(Made { text, source, uses })
}
