use std::io::{ErrorKind, Write as _};
use std::process::{Command, Stdio};
use std::time::Instant;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Query;
use axum::http::{HeaderMap, Request};
use axum::response::IntoResponse;
use axum::routing::get;
use futures_util::{StreamExt as _, stream};
use tokio::net::TcpListener;
use tower::ServiceExt as _;

use super::*;
use crate::serve::tests::{SECRET, options};
use crate::serve::{Options, app};
use crate::supervise::tests::Folder;

/// The page of a real Envoy 1.40 with the stats tags of the template and the filter's metrics by their names.
const RECORDED: &str = include_str!("recorded.txt");

/// A stand-in for Envoy's admin interface, which answers each request for statistics as `answer` does.
async fn admin<R: IntoResponse + 'static>(answer: impl Fn() -> R + Clone + Send + Sync + 'static) -> u16 {
    let page = move |Query(asked): Query<Vec<(String, String)>>| {
        let answer = answer.clone();
        async move {
            assert_eq!(asked, [("filter".to_owned(), "attach_".to_owned())]);
            answer()
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = Router::new().route("/stats/prometheus", get(page));
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

fn state(name: &str, admin_port: u16) -> State {
    let folder = Folder::new(&format!("metrics-{name}"));
    Options { admin_port, ..options(folder.path()) }.open(1_700_000_000).unwrap()
}

async fn ask(state: &State, method: &str) -> (StatusCode, HeaderMap, String) {
    let request = Request::builder().method(method).uri("/metrics?filter=x");
    let request = request.header("x-attach-control-secret", SECRET);
    let request = request.header("x-attach-user", "prometheus").header("x-attach-session", "abc");
    let response = app(state.clone()).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let body = axum::body::to_bytes(response.into_body(), 1 << 24).await.unwrap();
    (status, headers, String::from_utf8(body.to_vec()).unwrap())
}

/// What `promtool check metrics` has to say; `None` where this machine has none, which CI does not let
/// pass.
fn promtool(page: &str) -> Option<String> {
    let program = std::env::var_os("ATTACH_TEST_PROMTOOL").filter(|path| !path.is_empty());
    let mut command = Command::new(program.unwrap_or_else(|| "promtool".into()));
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = match command.spawn() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            assert!(std::env::var_os("CI").is_none(), "promtool is missing: install the package prometheus");
            eprintln!("promtool is not installed: this test checks nothing here");
            return None;
        }
        started => started.unwrap(),
    };
    process.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = process.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    Some(format!("{}{}", output.status.code().unwrap(), String::from_utf8(said).unwrap()))
}

#[tokio::test]
async fn the_page_of_a_real_envoy_becomes_one_that_promtool_has_nothing_to_say_about() {
    let state = state("real", admin(|| RECORDED).await);
    let (status, headers, page) = ask(&state, "GET").await;
    assert_eq!(status, StatusCode::OK, "{page}");
    assert_eq!(headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(headers["cache-control"], "no-store");
    for line in [
        concat!("attach_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        "attach_control_outbox_events 0",
        "attach_control_outbox_set_aside 0",
        "attach_control_outbox_oldest_seconds 0",
        r#"attach_usage_tokens_total{user="auth0|anna@example.com",direction="in",model="x/y:z"} 369"#,
        r#"attach_usage_tokens_total{user="a;b\"\\",direction="in",model="m{}, le=5} 1"} 27"#,
        "attach_vm_starts_total 3",
        r#"attach_time_to_first_token_seconds_bucket{le="0.0005"} 0"#,
        r#"attach_time_to_first_token_seconds_bucket{le="+Inf"} 15"#,
        "# TYPE attach_token_count_drift_ratio histogram",
    ] {
        assert!(page.lines().any(|have| have == line), "{line} in\n{page}");
    }
    assert!(!page.contains(families::OTHER_HELP), "{page}");
    for what in ["HELP", "TYPE"] {
        let heads: Vec<_> = page.lines().filter(|line| line.starts_with(&format!("# {what} "))).collect();
        assert_eq!(heads.len(), 4 + RECORDED.matches("# TYPE").count());
    }
    if let Some(said) = promtool(&page) {
        assert_eq!(said, "0", "{page}");
        assert!(promtool(RECORDED).unwrap().contains("no help text"), "promtool looks at what it is given");
    }
}

#[tokio::test]
async fn an_envoy_that_has_counted_nothing_is_no_fault() {
    let (status, _, page) = ask(&state("nothing", admin(|| "").await), "GET").await;
    assert_eq!((status, page.lines().count()), (StatusCode::OK, 12), "{page}");
    assert!(promtool(&page).is_none_or(|said| said == "0"));
}

#[tokio::test]
async fn only_reading_is_answered() {
    let state = state("methods", admin(|| RECORDED).await);
    let (status, headers, page) = ask(&state, "HEAD").await;
    assert_eq!((status, page.as_str()), (StatusCode::OK, ""));
    assert_eq!(headers["content-type"], CONTENT_TYPE);
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let (status, headers, _) = ask(&state, method).await;
        assert_eq!(
            (status, &headers["allow"]),
            (StatusCode::METHOD_NOT_ALLOWED, &"GET,HEAD".parse().unwrap())
        );
    }
}

#[tokio::test]
async fn there_is_a_whole_page_or_none() {
    let begun = RECORDED.split_at(RECORDED.len() / 2).0;
    let torn = admin(move || {
        let chunks = [Ok(Bytes::from_static(begun.as_bytes())), Err(std::io::Error::other("gone"))];
        Body::from_stream(stream::iter(chunks))
    });
    let endless = admin(|| {
        let line = Bytes::from("# nothing\n".repeat(100_000));
        Body::from_stream(stream::repeat_with(move || Ok::<_, std::io::Error>(line.clone())).take(100))
    });
    for (name, port) in [
        ("nobody", 1),
        ("torn", torn.await),
        ("endless", endless.await),
        ("ended early", admin(move || begun.trim_end_matches('\n')).await),
        ("failing", admin(|| (StatusCode::INTERNAL_SERVER_ERROR, RECORDED)).await),
        ("moved", admin(|| (StatusCode::FOUND, [("location", "http://127.0.0.1:1/")])).await),
        ("strange", admin(|| "# TYPE attach_a summary\n").await),
    ] {
        let (status, headers, body) = ask(&state("none", port), "GET").await;
        assert_eq!(
            (status, &headers["content-type"]),
            (StatusCode::SERVICE_UNAVAILABLE, &"application/json".parse().unwrap()),
            "{name}"
        );
        assert!(body.contains("detail") && !body.contains("attach_"), "{name}: {body}");
    }
}

#[tokio::test]
async fn an_envoy_that_hangs_is_waited_for_two_seconds_whoever_asks() {
    let port = admin(|| Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>())).await;
    let (state, begin) = (state("hangs", port), Instant::now());
    let asked = (0..8).map(|_| ask(&state, "GET"));
    for (status, ..) in futures_util::future::join_all(asked).await {
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    }
    assert!(begin.elapsed() < Duration::from_secs(6), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn what_is_wrong_is_said_with_the_setting() {
    let outbox = state("said", 1).outbox;
    let said = async |port| Metrics::new(port).unwrap().page(&outbox, None).await.unwrap_err().to_string();
    assert!(said(1).await.starts_with("Envoy's admin interface on port 1 (ADMIN_PORT) does not answer: "));
    let strange = said(admin(|| "# TYPE attach_a summary\n").await).await;
    assert_eq!(strange, "Envoy's statistics cannot be read: line 1 says no type that is known");
    let other = said(admin(|| StatusCode::NOT_FOUND).await).await;
    assert!(other.ends_with("(ADMIN_PORT) answers with status 404: is it another program's?"), "{other}");
}
