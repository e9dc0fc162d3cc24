//! Correct declarations compile and run; in wrong ones every mistake is one error, at the token to change.

use campanile::channel::EMAIL;
use campanile::notifiable_event;

#[test]
fn correct_events_compile_and_every_mistake_in_wrong_ones_is_reported_once() {
    let cases = trybuild::TestCases::new();
    cases.pass("pass/*.rs");
    cases.compile_fail("fail/*.rs");
}

/// An event of this program, with a template file.
#[notifiable_event(
    "org.member.role_changed",
    category = "team",
    channels(EMAIL(subject = "{{ new_role }}", html = file("../pass/emails/role_changed.html")))
)]
struct RoleChanged {
    org_name: String,
    actor_name: String,
    new_role: String,
}

#[test]
fn changing_a_template_file_triggers_a_rebuild() {
    // cargo compares the files that rustc lists as read with the last build.
    let program = std::env::current_exe().unwrap();
    let read = std::fs::read_to_string(program.with_extension("d")).unwrap();
    assert!(read.contains("role_changed.html"), "{read}");
}
