//! Placeholders in configuration: `${commit}`.

use deployd_plugin_sdk::Fault;

/// Puts values in the place of `${name}`; a `$` that begins no placeholder stays.
///
/// # Errors
/// A fault for a placeholder that is not among `values`, or has no end.
pub fn expand(at: &str, template: &str, values: &[(&str, &str)]) -> Result<String, Fault> {
    let mut expanded = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("${") {
        let unknown = |name: &str| {
            let names: Vec<_> = values.iter().map(|(name, _)| format!("${{{name}}}")).collect();
            let names = names.join(", ");
            Fault::invalid(
                at,
                format!("found the placeholder ${{{name}}}, expected one of {names}"),
            )
        };
        let (name, after) = after.split_once('}').ok_or_else(|| unknown(after))?;
        let value = values.iter().find(|(known, _)| *known == name);
        expanded.push_str(before);
        expanded.push_str(value.map(|(_, value)| *value).ok_or_else(|| unknown(name))?);
        rest = after;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_replaced_once() {
        let values = [("ref", "${commit}"), ("commit", "0a")];
        let of = |template| expand("/config/tag", template, &values);
        assert_eq!(of("v-${commit}-$x").unwrap(), "v-0a-$x");
        assert_eq!(of("${ref}").unwrap(), "${commit}");
        for bad in ["${x}", "${commit", "a${}"] {
            let fault = of(bad).unwrap_err().to_string();
            assert!(fault.contains("/config/tag") && fault.contains("${commit}"), "{fault}");
        }
    }
}
