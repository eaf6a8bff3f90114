//! Tables of input and expected output.

use vmname::{BaseName, Rule, SuffixScheme, VmName, sanitize, validate};

#[test]
fn sanitised() {
    let table = [
        ("My Awesome VM!", "my-awesome-vm"),
        ("web", "web"),
        ("  web  ", "web"),
        ("web_server.example", "web-server-example"),
        ("a--b---c", "a-b-c"),
        ("-web-", "web"),
        ("release/1.4.1", "release-1-4-1"),
        ("192.168.1.1", "192-168-1-1"),
        ("xn--mnchen-3ya", "xn-mnchen-3ya"),
        ("FIFA 18", "fifa-18"),
        ("ALTINDAĞ", "altinda"),
        ("İstanbul", "i-stanbul"),
        ("\u{212a}elvin", "kelvin"),
        ("\u{212b}ngström", "ngstr-m"),
        ("İİĲ", "i-i"),
        ("Zürich", "z-rich"),
        ("cafe\u{301}", "cafe"),
        ("café au lait", "caf-au-lait"),
        ("The quick brown fox jumps over the lazy dog", "the-quick-brown-fox-jumps-over-the-lazy"),
        ("$(reboot)", "reboot"),
        ("`id`; rm -rf /", "id-rm-rf"),
        ("../../etc/passwd", "etc-passwd"),
        ("\"; DROP TABLE vms; --", "drop-table-vms"),
        ("web\r\nSet-Cookie: a=b", "web-set-cookie-a-b"),
        ("web\0evil", "web-evil"),
        ("\u{202e}bew", "bew"),
        ("we\u{200b}b", "we-b"),
        ("<script>alert(1)</script>", "script-alert-1-script"),
        ("{{7*7}}", "7-7"),
        ("\u{1b}[31mred", "31mred"),
        ("Ｗｅｂ", "vm"),
        ("", "vm"),
        ("---", "vm"),
        ("🦀🦀", "vm"),
        ("Привет", "vm"),
        ("東京", "vm"),
    ];
    for (raw, expected) in table {
        let sanitized = sanitize(raw);
        assert_eq!(sanitized.as_str(), expected, "{raw:?}");
        assert_eq!(sanitized.is_fallback(), expected == "vm", "{raw:?}");
    }
    assert!(!sanitize("VM").is_fallback());
}

#[cfg(feature = "deunicode")]
#[test]
fn transliterated() {
    let table = [
        ("My Awesome VM!", "my-awesome-vm"),
        ("Zürich", "zurich"),
        ("İstanbul", "istanbul"),
        ("Привет, мир", "privet-mir"),
        ("北亰", "bei-jing"),
        ("café au lait", "cafe-au-lait"),
        ("$(reboot)", "reboot"),
        ("\u{e000}\u{e001}", "vm"),
        ("", "vm"),
    ];
    for (raw, expected) in table {
        let sanitized = vmname::transliterate(raw);
        assert_eq!(sanitized.as_str(), expected, "{raw:?}");
        assert_eq!(sanitized.is_fallback(), expected == "vm", "{raw:?}");
    }
}

#[test]
fn refused_base_names() {
    let long = "a".repeat(41);
    let table = [
        ("", Rule::TooShort, None, "vm"),
        ("a", Rule::TooShort, None, "vm-a"),
        ("-", Rule::TooShort, None, "vm"),
        ("é", Rule::Start, Some('é'), "vm"),
        ("Web", Rule::Start, Some('W'), "web"),
        ("1a", Rule::Start, Some('1'), "vm-1a"),
        ("-web", Rule::Start, Some('-'), "web"),
        ("wEb", Rule::Character { position: 2 }, Some('E'), "web"),
        ("web server", Rule::Character { position: 4 }, Some(' '), "web-server"),
        ("web\n", Rule::Character { position: 4 }, Some('\n'), "web"),
        ("caf\u{e9}", Rule::Character { position: 4 }, Some('é'), "caf"),
        ("web-", Rule::End { position: 4 }, Some('-'), "web"),
        ("a-", Rule::End { position: 2 }, Some('-'), "vm-a"),
        ("xn--abc", Rule::HyphenPair, Some('-'), "xn-abc"),
        ("ab--cd", Rule::HyphenPair, Some('-'), "ab-cd"),
        (&long, Rule::TooLong { limit: 40 }, Some('a'), &long[..40]),
        (
            "a1b2c3d4-e5f6-4a5b-8c9d-0123456789ab",
            Rule::Uuid,
            None,
            "vm-a1b2c3d4-e5f6-4a5b-8c9d-0123456789ab",
        ),
    ];
    for (text, rule, character, proposal) in table {
        let error = validate(text).unwrap_err();
        assert_eq!(error.rule(), rule, "{text:?}");
        assert_eq!(error.character(), character, "{text:?}");
        assert_eq!(error.proposal(), proposal, "{text:?}");
    }
    // Two in a row are refused at positions 3 and 4 only.
    for text in ["a--b", "abc--d", "vm-a--b", "ab", "localhost"] {
        assert_eq!(validate(text).unwrap().as_str(), text);
    }
}

#[test]
fn messages() {
    let table = [
        ("", "refused \"\": use at least 2 characters, for example `vm`"),
        (
            "Web",
            "refused \"Web\" for 'W' at position 1: start with a lower-case letter a-z, \
             for example `web`",
        ),
        (
            "we\u{202e}b",
            "refused \"we\\u{202e}b\" for '\\u{202e}' at position 3: use only a-z, 0-9 and `-`, \
             for example `we-b`",
        ),
        (
            "web-",
            "refused \"web-\" for '-' at position 4: end with a letter or a digit, \
             for example `web`",
        ),
    ];
    for (text, message) in table {
        assert_eq!(validate(text).unwrap_err().to_string(), message);
    }
    let long = "x".repeat(1 << 20);
    assert_eq!(
        VmName::system(&long).unwrap_err().to_string(),
        format!(
            "refused {:?}... for 'x' at position 64: use at most 63 characters, for example `{}`",
            &long[..64],
            &long[..63],
        ),
    );
    assert_eq!(
        VmName::system("wpad").unwrap_err().to_string(),
        "refused \"wpad\": do not use a reserved word without a suffix, for example `vm-wpad`",
    );
}

/// The figures in the documentation of [`SuffixScheme`], from the birthday problem.
#[test]
fn collision_figures() {
    let four = SuffixScheme::VOWELLESS.with_length(4).unwrap();
    let five = SuffixScheme::HEX.with_length(5).unwrap();
    let table = [
        (SuffixScheme::HEX, 65_536, 302, 763.0),
        (four, 531_441, 859, 94.0),
        (five, 1_048_576, 1_206, 48.0),
        (SuffixScheme::VOWELLESS, 14_348_907_u32, 4_461, 3.5),
    ];
    for (scheme, combinations, even_odds, pairs) in table {
        assert_eq!(scheme.combinations(), u64::from(combinations));
        let space = f64::from(combinations);
        let (mut names, mut none) = (1u32, 1.0);
        while none > 0.5 {
            none *= 1.0 - f64::from(names) / space;
            names += 1;
        }
        assert_eq!(names, even_odds);
        let expected: f64 = 10_000.0 * 9_999.0 / 2.0 / space;
        assert!((expected - pairs).abs() < 0.5, "{expected}");
    }
}

/// The figure in the documentation of `Namer`: four attempts, each taken with the same probability.
#[test]
fn exhaustion_figure() {
    let taken: f64 = 10_000.0 / 65_536.0;
    assert!((taken.powi(4).recip() - 1_845.0).abs() < 0.5);
}

#[test]
fn names_in_constants() {
    const BASE: BaseName = BaseName::from_static("relay-us-east");
    const NAME: VmName = VmName::from_static("relay-us-east-a1b2c3d4");
    const NEAREST: BaseName = BaseName::nearest("Relay US East");
    assert_eq!(NEAREST, BASE);
    assert_eq!(BASE.with_suffix("a1b2c3d4".parse().unwrap()), NAME);
}

#[test]
#[should_panic(expected = "start with a lower-case letter a-z")]
fn a_bad_literal_is_a_panic() {
    let _ = BaseName::from_static("Web");
}

#[test]
#[should_panic(expected = "reserved word")]
fn a_reserved_literal_is_a_panic() {
    let _ = VmName::from_static("localhost");
}
