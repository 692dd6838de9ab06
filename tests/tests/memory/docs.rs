//! `/mem/docs`: documents that agents write and hand on; immutable, with their history.

use attach_tests::request::{Request, Response};
use serde_json::{Value, json};

use crate::kit::{self, Site, text};

kit::on_every_backend!(a_document_is_its_writers_and_every_version_stays, a_document_is_changed_by_nobody);

fn write(site: &Site, token: &str, body: &Value) -> Response {
    site.gateway().send(&Request::post_json("/mem/docs", body).bearer(token))
}

fn a_document_is_its_writers_and_every_version_stays(site: &Site) {
    let (alice, bob) = (site.token("docs-alice"), site.token("docs-bob"));
    let first =
        text(&write(site, &alice, &json!({"title": "plan", "content": "sow"})).expect(201).json(), "mem_id");
    let second =
        write(site, &alice, &json!({"title": "plan", "content": "reap", "parent": first})).expect(201).json();
    let second = text(&second, "mem_id");
    assert_ne!(first, second);
    let read = |token: &str, id: &str| site.get(token, &format!("/mem/docs/{id}"));
    assert_eq!(text(&read(&alice, &first).expect(200).json(), "content"), "sow");
    let newest = read(&alice, &second).expect(200).json();
    assert_eq!((text(&newest, "content"), text(&newest, "parent")), ("reap".to_owned(), first.clone()));
    // sha256sum of "reap".
    assert_eq!(text(&newest, "sha256"), "3995ddb81dee48b29fa3feea1a8331ac75c044bf155c8ba04054dbf0b424a617");
    let history = site.get(&alice, &format!("/mem/docs/{second}/history")).expect(200).json();
    let versions: Vec<_> =
        history["data"].as_array().expect("versions").iter().map(|one| text(one, "mem_id")).collect();
    assert_eq!(versions, [second.clone(), first.clone()]);
    // To others, and to those with another's id in a header, it is one that there is not.
    let none = "ab".repeat(16);
    for id in [&first, &second] {
        for target in [format!("/mem/docs/{id}"), format!("/mem/docs/{id}/history")] {
            let refused = site
                .gateway()
                .send(&Request::get(&target).bearer(&bob).header("x-attach-user", "docs-alice"));
            assert_eq!(
                refused.clone().expect(404).text(),
                site.get(&bob, &target.replace(id, &none)).expect(404).text()
            );
        }
        let of_hers = write(site, &bob, &json!({"content": "weeds", "parent": id}));
        assert!((400..500).contains(&of_hers.status), "{}", of_hers.text());
        assert_eq!(
            site.gateway().send(&Request::new("DELETE", format!("/mem/docs/{id}")).bearer(&bob)).status,
            404
        );
    }
    assert_eq!(text(&read(&alice, &second).expect(200).json(), "content"), "reap");
}

fn a_document_is_changed_by_nobody(site: &Site) {
    let alice = site.token("fixed-alice");
    let id = text(&write(site, &alice, &json!({"content": "as it is"})).expect(201).json(), "mem_id");
    for method in ["PUT", "PATCH", "POST"] {
        let request = Request::with_body(method, format!("/mem/docs/{id}"), r#"{"content":"otherwise"}"#);
        let refused = site.gateway().send(&request.header("content-type", "application/json").bearer(&alice));
        assert_eq!(refused.status, 405, "{method}: {}", refused.text());
    }
    let read = site.get(&alice, &format!("/mem/docs/{id}")).expect(200).json();
    assert_eq!(text(&read, "content"), "as it is");
}
