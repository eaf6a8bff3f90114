//! Sanitising and validating compared with the naive rules, exhaustively where that is possible.

use crate::support::{naive_is_valid, naive_sanitize};
use vmname::{BaseName, VmName, sanitize, validate};

/// Everything that holds for any text whatever.
#[track_caller]
fn check(raw: &str) {
    let sanitized = sanitize(raw);
    let text = sanitized.as_str();
    let (expected, is_fallback) = naive_sanitize(raw);
    assert_eq!((text, sanitized.is_fallback()), (&*expected, is_fallback), "sanitize {raw:?}");
    assert_eq!(sanitize(text).as_str(), text, "idempotent after {raw:?}");

    check_validation(raw);
    check_validation(text);
    assert!(naive_is_valid(BaseName::nearest(raw).as_str(), 40), "nearest to {raw:?}");
}

#[track_caller]
fn check_validation(text: &str) {
    match validate(text) {
        Ok(name) => {
            assert!(naive_is_valid(text, 40), "accepted {text:?}");
            assert_eq!(name.as_str(), text);
        }
        Err(error) => {
            assert!(!naive_is_valid(text, 40), "refused {text:?}: {error}");
            assert_eq!(error.refused(), text);
            assert!(naive_is_valid(error.proposal().as_str(), 40), "proposal for {text:?}");
            let character = error.position().and_then(|at| text.chars().nth(at - 1));
            assert_eq!(error.character(), character, "place in {text:?}");
        }
    }
    match VmName::system(text) {
        Ok(name) => {
            assert!(naive_is_valid(text, 63) && !vmname::RESERVED.contains(&text), "{text:?}");
            assert_eq!(name.as_str(), text);
        }
        Err(error) => {
            assert!(!naive_is_valid(text, 63) || vmname::RESERVED.contains(&text), "{text:?}");
            let proposal = error.proposal();
            assert_eq!(VmName::system(proposal.as_str()), Ok(proposal), "proposal for {text:?}");
        }
    }
}

#[test]
fn every_unicode_scalar_alone_and_between_letters() {
    let mut buffer = String::new();
    let mut count = 0;
    for scalar in '\0'..=char::MAX {
        buffer.clear();
        buffer.push(scalar);
        check(&buffer);
        buffer.insert(0, 'a');
        buffer.push('b');
        assert_eq!(sanitize(&buffer).as_str(), naive_sanitize(&buffer).0, "{buffer:?}");
        count += 1;
    }
    assert_eq!(count, 1_112_064);
}

/// The two characters outside ASCII that leave a letter, and no other, by the standard library.
#[test]
fn exactly_two_characters_outside_ascii_have_an_ascii_lower_case() {
    let folded: Vec<char> = ('\u{80}'..=char::MAX)
        .filter(|c| c.to_lowercase().any(|lower| lower.is_ascii_alphanumeric()))
        .collect();
    assert_eq!(folded, ['\u{130}', '\u{212a}']);
    for scalar in folded {
        assert!(!sanitize(&scalar.to_string()).is_fallback());
    }
}

#[test]
fn every_pair_of_ascii_characters() {
    for first in '\0'..='\x7f' {
        for second in '\0'..='\x7f' {
            check(&String::from_iter([first, second]));
        }
    }
}

/// Letters, digits, hyphens, what looks like them, what is made of the same bytes, and what is
/// dangerous elsewhere.
const HOSTILE: &[&str] = &[
    "a",
    "f",
    "x",
    "Z",
    "0",
    "9",
    "-",
    "_",
    ".",
    " ",
    "/",
    "\0",
    "\r",
    "\n",
    "$",
    "\"",
    "'",
    "é",
    "İ",
    "\u{131}",
    "\u{212a}",
    "\u{212b}",
    "\u{307}",
    "\u{202e}",
    "Ä",
    "°",
    "ª",
    "−",
    "\u{ad}",
    "京",
    "🦀",
    "\u{10ffff}",
];

#[test]
fn every_string_of_up_to_four_hostile_signs() {
    let mut strings = vec![String::new()];
    let mut count = 0;
    for length in 0..=4 {
        for string in &strings {
            check(string);
        }
        count += strings.len();
        if length < 4 {
            strings = strings
                .iter()
                .flat_map(|start| HOSTILE.iter().map(move |sign| [start, *sign].concat()))
                .collect();
        }
    }
    assert_eq!((HOSTILE.len(), count), (32, 1_082_401));
}

/// Every way to come to the limit: what is kept, then a gap, then something or nothing more.
#[test]
fn every_length_around_the_limits() {
    for start in 0..=66 {
        for gap in 0..=3 {
            for end in 0..=3 {
                let raw = ["x".repeat(start), "-".repeat(gap), "y".repeat(end)].concat();
                check(&raw);
                check(&raw.replace('-', "é"));
                check(&["--", &raw, "İ"].concat());
                check(&["9", &raw].concat());
            }
        }
    }
}

#[test]
fn every_change_of_one_character_in_a_uuid() {
    let uuid = "a1b2c3d4-e5f6-4a5b-8c9d-0123456789ab";
    check(uuid);
    assert!(validate(uuid).is_err());
    for at in 0..uuid.len() {
        for with in ["", "-", "0", "g", "ff", "A"] {
            check(&[&uuid[..at], with, &uuid[at + 1..]].concat());
        }
    }
}

#[test]
fn every_reserved_word_is_refused_without_a_suffix_and_harmless_with_one() {
    for word in vmname::RESERVED {
        check(word);
        assert_eq!(VmName::system(word).unwrap_err().rule(), vmname::Rule::Reserved);
        let base = validate(word).unwrap();
        let name = base.with_suffix("a1b2".parse().unwrap());
        assert_eq!(VmName::system(name.as_str()), Ok(name));
        // What a name with a suffix relies on.
        assert!(!word.contains('-'));
    }
}

/// Transliterating is sanitising what deunicode makes of each character; what it does not know
/// leaves a hyphen.
#[cfg(feature = "deunicode")]
#[test]
fn every_unicode_scalar_transliterated() {
    for scalar in '\0'..=char::MAX {
        let ascii = deunicode::deunicode_char(scalar).unwrap_or("-");
        assert!(ascii.is_ascii(), "{scalar:?}");
        for (start, end) in [("", ""), ("a", "b")] {
            let raw = format!("{start}{scalar}{end}");
            let expected = naive_sanitize(&format!("{start}{ascii}{end}"));
            let transliterated = vmname::transliterate(&raw);
            let actual = (transliterated.to_string(), transliterated.is_fallback());
            assert_eq!(actual, expected, "{raw:?}");
        }
    }
}
