//! The settings page without JavaScript: its texts and its forms.

use axum::body::Body;
use axum::http::Method;
use campanile_tests::both_databases;
use campanile_web::{Settings, SettingsPage};

use crate::site::{Answer, Site, request};

async fn turn(site: &Site, [category, channel, enabled]: [&str; 3]) -> Answer {
    let version = version(site).await;
    let form = [
        ("category", category),
        ("channel", channel),
        ("enabled", enabled),
        ("version", &version),
    ];
    site.submit("u_ada", "/settings", &form).await
}

async fn version(site: &Site) -> String {
    site.get("u_ada", "/preferences")
        .await
        .etag()
        .trim_matches('"')
        .to_owned()
}

/// The tag of a switch, by its name.
fn switch<'p>(page: &'p str, name: &str) -> &'p str {
    let label = format!("aria-label=\"{name}\"");
    let at = page
        .find(&label)
        .unwrap_or_else(|| panic!("no switch is named {name}: {page}"));
    let begin = page[..at].rfind('<').unwrap();
    &page[begin..begin + page[begin..].find('>').unwrap()]
}

both_databases! {
    async fn the_page_names_every_switch_and_says_why_some_are_locked(site: Site) {
        let page = site.get("u_ada", "/settings").await;
        page.expect(200);
        assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'self'; script-src 'self'; "), "{policy}");
        assert!(!policy.contains("unsafe") && !page.text.contains("<style") && !page.text.contains("style="));
        for shown in ["lang=\"en\" dir=\"ltr\"", "<th scope=\"row\" role=\"rowheader\">Team</th>", "People and roles in your organization", "<li>A payment is overdue.</li>"] {
            assert!(page.text.contains(shown), "{shown}: {}", page.text);
        }
        let open = switch(&page.text, "Email for Team");
        assert!(open.contains("type=\"submit\" role=\"switch\" aria-checked=\"true\"") && !open.contains("aria-disabled"), "{open}");
        let locked = switch(&page.text, "Email for Billing");
        assert!(locked.contains("type=\"button\"") && locked.contains("aria-disabled=\"true\""), "{locked}");
        assert!(page.text.contains("Email cannot be turned off here, because it is critical: A payment is overdue</p>"), "{}", page.text);
    }

    async fn a_form_turns_a_switch_and_the_page_shows_it(site: Site) {
        let turned = turn(&site, ["team", "email", "false"]).await;
        turned.expect(303);
        let location = turned.headers["location"].to_str().unwrap();
        assert_eq!(location, format!("settings?category=team&channel=email&version={}", version(&site).await));
        let page = site.get("u_ada", &format!("/{location}")).await;
        let button = switch(&page.text, "Email for Team");
        assert!(button.contains("aria-checked=\"false\"") && button.contains("autofocus"), "{button}");
        assert!(page.text.contains("Saved. Email for Team is off.</p>"), "{}", page.text);
        assert!(switch(&site.get("u_bob", "/settings").await.text, "Email for Team").contains("aria-checked=\"true\""));
        turn(&site, ["team", "email", "true"]).await.expect(303);
        for other in [location, "settings?category=team&channel=email"] {
            let kept = site.get("u_ada", &format!("/{other}")).await;
            assert!(!kept.text.contains("Saved.</p>") && !kept.text.contains("autofocus"), "{}", kept.text);
        }
        let invented = site.get("u_ada", &format!("/settings?category=team&channel=%3Cb%3E&version={}", version(&site).await)).await;
        assert!(!invented.text.contains("Saved.") && !invented.text.contains("<b>"), "{}", invented.text);
    }

    async fn a_refused_form_gets_the_page_with_the_reason(site: Site) {
        let stale = version(&site).await;
        turn(&site, ["team", "email", "false"]).await.expect(303);
        let before = site.get("u_ada", "/preferences").await.text;
        for (answer, status, why) in [
            (turn(&site, ["billing", "email", "false"]).await, 409, "Not saved. The channel `email` of the category `billing` cannot be muted"),
            (turn(&site, ["teams", "email", "false"]).await, 422, "Not saved. No event is of the category `teams`"),
            (turn(&site, ["<b>", "email", "false"]).await, 422, "`&lt;b&gt;`"),
            (turn(&site, ["team", "push", "false"]).await, 422, "Not saved. "),
            (site.submit("u_ada", "/settings", &[("category", "team"), ("channel", "email"), ("enabled", "true"), ("version", &stale)]).await,
             412, "Not saved. The settings were changed elsewhere in the meantime."),
        ] {
            answer.expect(status);
            assert!(answer.text.contains(why), "{why}: {}", answer.text);
            assert!(answer.text.contains("<title>Not saved: Notifications</title>"), "{}", answer.text);
            assert!(switch(&answer.text, "Email for Team").contains("aria-checked=\"false\""));
        }
        assert_eq!(site.get("u_ada", "/preferences").await.text, before);
    }

    async fn a_malformed_form_is_refused(site: Site) {
        for (form, status, kind) in [
            (&[("category", "team")][..], 422, "invalid-body"),
            (&[("category", "team"), ("channel", "email"), ("enabled", "maybe"), ("version", "x")], 422, "invalid-body"),
            (&[("category", "team"), ("category", "billing")], 422, "invalid-body"),
            (&[("surprise", &"x".repeat(16 * 1024))], 413, "body-too-large"),
        ] {
            site.submit("u_ada", "/settings", form).await.expect_problem(status, kind);
        }
        for kind in ["application/json", "text/plain", "multipart/form-data", ""] {
            let request = request(Method::POST, "/settings").header("x-session", "u_ada").header("content-type", kind);
            site.send(request.body(Body::from("category=team")).unwrap()).await.expect_problem(415, "form-required");
        }
        site.get("u_ada", "/settings?category=a&category=b").await.expect_problem(400, "invalid-query");
    }

    async fn a_host_can_set_the_texts_of_the_page(site: Site) {
        let mut page = SettingsPage::default();
        page.lang = "ar".into();
        page.title = "<الإشعارات>".into();
        page.home = "/team".into();
        page.names.insert("team".into(), "الفريق".into());
        let site = site.another(Settings::default().page(page));
        let text = site.get("u_ada", "/settings").await.text;
        for shown in ["lang=\"ar\" dir=\"rtl\"", "&lt;الإشعارات&gt;", "href=\"&#x2f;team\"", "Email for الفريق"] {
            assert!(text.contains(shown), "{shown}: {text}");
        }
    }
}
