//! An event that OpenMeter will never take stands in nobody's way.

use attach_tests::fixture::Fixture;
use attach_tests::peers::OpenMeter;
use attach_tests::wait;

use crate::kit;

#[test]
fn a_poisonous_event_is_set_aside_and_doctor_shows_it() {
    const CALLS: usize = 12;
    let openmeter = OpenMeter::start();
    openmeter.refuse(&["mallory"]);
    let fixture = Fixture::start("poison", |builder| kit::metered(builder, &openmeter));
    kit::answer(&fixture, None);
    for number in 0..CALLS {
        fixture.gateway.send(&kit::call(&fixture, "alice", "p")).expect(200);
        if number % 4 == 1 {
            fixture.gateway.send(&kit::call(&fixture, "mallory", "p")).expect(200);
        }
    }
    // Whoever shares a batch with it is told all the same.
    kit::all_metered(&openmeter, "alice", &kit::rows(&fixture, "alice", CALLS));
    kit::rows(&fixture, "mallory", 3);
    assert_eq!(openmeter.events("mallory").len(), 0);
    let doctor = wait::until("three calls' events to be set aside", || {
        let said = fixture.gateway.run(&["doctor"]).stdout;
        said.lines().find(|line| line.contains("set aside") && line.contains("6 ")).map(str::to_owned)
    });
    assert!(doctor.contains("poison") && doctor.contains("400"), "{doctor}");
    assert!(doctor.starts_with("warn"), "{doctor}");
    let log = fixture.gateway.log("control");
    assert!(log.contains("set aside"), "{log}");
    assert!(!fixture.gateway.logs().contains(OpenMeter::KEY), "the key is in a log");
}

/// A wrong key is the operator's mistake and no event's: everything waits for it to be put right.
#[test]
fn a_wrong_key_sets_nothing_aside_and_a_corrected_one_sends_everything() {
    const CALLS: usize = 5;
    let openmeter = OpenMeter::start();
    let fixture = Fixture::start("wrong-key", |builder| {
        kit::metered(builder, &openmeter).set("OPENMETER_API_KEY", "om-not-the-key")
    });
    kit::answer(&fixture, None);
    for _ in 0..CALLS {
        fixture.gateway.send(&kit::call(&fixture, "alice", "p")).expect(200);
    }
    let rows = kit::rows(&fixture, "alice", CALLS);
    let doctor = wait::until("doctor to name the setting", || {
        let said = fixture.gateway.run(&["doctor"]).stdout;
        said.lines().find(|line| line.contains("OPENMETER_API_KEY")).map(str::to_owned)
    });
    assert!(doctor.starts_with("warn") && doctor.contains("10 events wait"), "{doctor}");
    fixture.gateway.set("OPENMETER_API_KEY", OpenMeter::KEY);
    fixture.gateway.up().expect_success();
    kit::all_metered(&openmeter, "alice", &rows);
    assert!(!fixture.gateway.logs().contains("om-not-the-key"), "the key is in a log");
}
