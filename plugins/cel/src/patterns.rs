//! `matches()`: whether a text matches a pattern, each of which is made once.

use cel::extractors::This;
use cel::{Context, ExecutionError};
use deployd_plugin_sdk::shown;
use regex::Regex;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Adds it to what expressions can call.
pub(crate) fn add(context: &mut Context<'_, '_>) {
    let known: Mutex<HashMap<Arc<String>, Regex>> = Mutex::default();
    let matches = move |This(text): This<Arc<String>>, pattern: Arc<String>| {
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(regex) = known.get(&pattern) {
            return Ok(regex.is_match(&text));
        }
        match Regex::new(&pattern) {
            Ok(regex) => {
                let found = regex.is_match(&text);
                known.insert(pattern, regex);
                Ok(found)
            }
            Err(error) => Err(ExecutionError::FunctionError {
                function: "matches".to_owned(),
                message: shown(&format!("{pattern:?} is no pattern: {error}")),
            }),
        }
    };
    // Only a second function of this name would be refused.
    let _ = context.add_function("matches", matches);
}
