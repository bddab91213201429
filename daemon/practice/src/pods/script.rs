//! What a container's command says it does, where that is plain: a manifest
//! that echoes, sleeps and exits behaves as it would on a real node.

use std::time::Duration;

use serde_json::Value;

use crate::json;

/// What a command comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Script {
    /// What it writes first.
    pub(super) lines: Vec<String>,
    /// When and how it ends; none if it runs for ever.
    pub(super) end: Option<(Duration, i32)>,
}

/// Longer sleeps are for ever: no practice cluster lives to see their end.
const FOREVER: u64 = 100_000;

/// Reads the command of a container; none if it is more than `echo`, `printf`
/// without formats, `sleep`, `true`, `false` and `exit`, one after the other.
pub(super) fn of(container: &Value) -> Option<Script> {
    let words: Vec<&str> = ["/command", "/args"]
        .iter()
        .flat_map(|list| json::items(container, list))
        .map(Value::as_str)
        .collect::<Option<_>>()?;
    let (name, arguments) = words.split_first()?;
    let name = name.rsplit('/').next().unwrap_or(name);
    if matches!(name, "sh" | "bash" | "ash") {
        let [flag, text] = arguments else { return None };
        if !flag.starts_with('-') || !flag.ends_with('c') {
            return None;
        }
        return shell(text);
    }
    let mut script = Script { lines: Vec::new(), end: None };
    let (slept, code) = simple(name, &arguments.join(" "), &mut script.lines)?;
    script.end = slept.map(|slept| (slept, code));
    Some(script)
}

/// Commands one after the other, split at `;`, line ends and `&&`.
fn shell(text: &str) -> Option<Script> {
    if text.contains(['|', '<', '>', '`', '$', '(', '{']) || text.replace("&&", "").contains('&') {
        return None;
    }
    let mut script = Script { lines: Vec::new(), end: None };
    let (mut slept, mut code) = (Duration::ZERO, 0);
    for command in text.split([';', '\n']) {
        for command in command.split("&&").map(str::trim).filter(|command| !command.is_empty()) {
            let (name, rest) = command.split_once(' ').unwrap_or((command, ""));
            if name == "exit" {
                code = rest.trim().parse().ok()?;
                script.end = Some((slept, code));
                return Some(script);
            }
            let (time, result) = simple(name, rest.trim(), &mut script.lines)?;
            let Some(time) = time else { return Some(script) };
            slept += time;
            code = result;
            if code != 0 {
                // What follows `&&` does not run; what follows `;` does.
                break;
            }
        }
    }
    script.end = Some((slept, code));
    Some(script)
}

/// One command: how long it takes (none if for ever), and its exit code.
fn simple(name: &str, rest: &str, lines: &mut Vec<String>) -> Option<(Option<Duration>, i32)> {
    match name {
        "true" | ":" => Some((Some(Duration::ZERO), 0)),
        "false" => Some((Some(Duration::ZERO), 1)),
        "echo" => {
            lines.push(rest.trim_matches(['"', '\'']).to_owned());
            Some((Some(Duration::ZERO), 0))
        }
        "sleep" => match rest.trim() {
            "infinity" | "inf" => Some((None, 0)),
            seconds => {
                let seconds: f64 = seconds.trim_end_matches('s').parse().ok()?;
                let time = Duration::try_from_secs_f64(seconds).ok()?;
                Some(((time.as_secs() < FOREVER).then_some(time), 0))
            }
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![expect(
        clippy::needless_pass_by_value,
        reason = "json!(…) reads better without a & before it"
    )]

    use serde_json::json;

    use super::*;

    fn script(command: Value) -> Option<Script> {
        of(&json!({"command": command}))
    }

    #[test]
    fn plain_commands_are_understood() {
        let found = script(json!(["sh", "-c", "echo 'a b'; sleep 2 && echo c\nexit 3; echo d"]));
        let found = found.unwrap();
        assert_eq!(found.lines, ["a b", "c"]);
        assert_eq!(found.end, Some((Duration::from_secs(2), 3)));
        assert_eq!(script(json!(["/bin/false"])).unwrap().end, Some((Duration::ZERO, 1)));
        assert_eq!(script(json!(["sh", "-c", "echo a; sleep 1000000"])).unwrap().end, None);
        assert_eq!(script(json!(["sh", "-c", "false && echo a; echo b"])).unwrap().lines, ["b"]);
    }

    #[test]
    fn everything_else_is_left_alone() {
        for command in [
            json!([]),
            json!(["nginx", "-g", "daemon off;"]),
            json!(["sh", "-c", "while true; do date; done"]),
            json!(["sh", "-c", "echo $HOME"]),
            json!(["sh", "-c", "server &"]),
            json!(["sleep", "soon"]),
        ] {
            assert_eq!(script(command.clone()), None, "{command}");
        }
    }
}
