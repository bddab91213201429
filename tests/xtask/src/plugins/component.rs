//! A core module becomes a component.

use anyhow::Context;
use std::fs;
use std::path::Path;
use wit_component::{ComponentEncoder, DecodedWasm};

/// A component and what it can ask of the host.
pub(crate) struct Component {
    pub(crate) bytes: Vec<u8>,
    /// The interfaces it imports functions from.
    pub(crate) imports: Vec<String>,
}

/// Makes a component of a module that cargo built.
pub(crate) fn from_module(path: &Path) -> anyhow::Result<Component> {
    let module = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let bytes = ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .and_then(|encoder| encoder.encode())
        .context("the module can't become a component: did the crate call its export_…! macro?")?;
    let imports = imports(&bytes)?;
    Ok(Component { bytes, imports })
}

/// Interfaces of types alone are left out: they give a plugin nothing to do.
fn imports(component: &[u8]) -> anyhow::Result<Vec<String>> {
    let DecodedWasm::Component(resolve, world) = wit_component::decode(component)? else {
        anyhow::bail!("not a component");
    };
    let world = resolve.worlds.get(world).context("the component has no world")?;
    let mut names: Vec<String> = world
        .imports
        .iter()
        .filter(|(_, item)| match item {
            wit_parser::WorldItem::Interface { id, .. } => {
                resolve.interfaces.get(*id).is_none_or(|interface| !interface.functions.is_empty())
            }
            _ => true,
        })
        .map(|(key, _)| resolve.name_world_key(key))
        .collect();
    names.sort();
    Ok(names)
}
