//! No fixture without a test.

const TESTS: [&str; 10] = [
    include_str!("calls.rs"),
    include_str!("checks.rs"),
    include_str!("hostile.rs"),
    include_str!("http.rs"),
    include_str!("loading.rs"),
    include_str!("net.rs"),
    include_str!("notifiers.rs"),
    include_str!("quarantine.rs"),
    include_str!("residue.rs"),
    include_str!("secrets.rs"),
];

#[test]
fn each_fixture_has_a_test() {
    let names = fixtures::names().unwrap();
    for name in &names {
        let quoted = format!("\"{name}\"");
        assert!(TESTS.iter().any(|test| test.contains(&quoted)), "no test uses {name}.wat");
    }
    assert!(names.len() > 80, "only {} fixtures in {}", names.len(), fixtures::folder().display());
}
