use alloc::vec::Vec;

use serde_json::{Deserializer, Value};

/// The objects of a list in JSON, or of several in a row; `None` if the text is no such list. A
/// prompt may stand above it, and where its end is torn off, the objects before that count.
pub(crate) fn objects(text: &str) -> Option<Vec<Value>> {
    let mut rest = text.get(start(text)?..)?;
    let is_list = rest.starts_with('[');
    let mut objects = Vec::new();
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || "[,]".contains(c));
        let mut values = Deserializer::from_str(rest).into_iter();
        match values.next() {
            Some(Ok(object @ Value::Object(_))) => objects.push(object),
            _ => break,
        }
        rest = rest.get(values.byte_offset()..)?;
    }
    // A brace alone begins other formats as well.
    (is_list || !objects.is_empty()).then_some(objects)
}

/// Where the list begins: at a line, with an object or without any. A prompt (`[user@host ~]$`) and a
/// time stamp begin otherwise.
fn start(text: &str) -> Option<usize> {
    let mut at = 0usize;
    for line in text.split_inclusive('\n') {
        let begun = line.trim_start();
        let from = at.saturating_add(line.len().saturating_sub(begun.len()));
        at = at.saturating_add(line.len());
        let begins = match text.get(from..)?.strip_prefix('[') {
            Some(after) => matches!(after.trim_start().bytes().next(), None | Some(b'{' | b']')),
            None => from == 0 && begun.starts_with('{'),
        };
        if begins {
            return Some(from);
        }
    }
    None
}
