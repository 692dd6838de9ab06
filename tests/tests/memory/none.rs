//! Without memory there is none, and who asks for it is told why.

use attach_tests::fixture::Fixture;
use attach_tests::request::Request;

use crate::kit;

#[test]
fn without_memory_its_routes_name_the_setting_and_calls_are_answered() {
    let fixture = Fixture::start("memory-none", |builder| builder.set("MEM_BACKEND", "none"));
    kit::answer(&fixture);
    let token = fixture.alice();
    fixture.gateway.send(&kit::chat(&token, "unremembered words", "yes")).expect(200);
    for (method, target) in [
        ("GET", "/mem/events"),
        ("DELETE", "/mem/events"),
        ("GET", "/mem/search?q=a"),
        ("GET", "/mem/spaces/team-a/events"),
        ("POST", "/mem/docs"),
        ("GET", "/mem/docs/1"),
        ("POST", "/v1/logs"),
    ] {
        let answer =
            fixture.gateway.send(&Request::with_body(method, target, "{}").bearer(&token)).expect(404);
        assert!(answer.detail().contains("MEM_BACKEND"), "{method} {target}: {}", answer.text());
    }
    let found = std::process::Command::new("grep")
        .args(["-raqF", "-e", "unremembered words"])
        .arg(fixture.gateway.state())
        .status();
    assert!(!found.expect("grep").success(), "it is kept all the same");
}
