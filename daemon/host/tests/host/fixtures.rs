//! No fixture without a test.

use crate::support::fixtures;

const TESTS: [&str; 4] = [
    include_str!("calls.rs"),
    include_str!("loading.rs"),
    include_str!("quarantine.rs"),
    include_str!("secrets.rs"),
];

#[test]
fn each_fixture_has_a_test() {
    let mut count = 0;
    for entry in std::fs::read_dir(fixtures()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "wat") {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let quoted = format!("\"{name}\"");
        assert!(TESTS.iter().any(|test| test.contains(&quoted)), "no test uses {name}.wat");
        count += 1;
    }
    assert!(count > 30, "only {count} fixtures in {}", fixtures().display());
}
