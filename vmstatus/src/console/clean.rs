use alloc::vec::Vec;

/// Stands for a byte outside ASCII: it is in no name and no address.
const FOREIGN: u8 = 0x7f;

/// Copies a line without what a terminal would not show: escape sequences, also ones that have
/// lost their ESC byte, NULs and other control bytes. Tabs become spaces, and bytes outside ASCII
/// [`FOREIGN`], so that the copy is always text.
pub(super) fn clean(line: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let mut rest = line;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            0x1b => rest = skip_escape(after),
            b'[' => {
                if let Some(after) = skip_colour(after) {
                    rest = after;
                } else {
                    out.push(byte);
                }
            }
            b'\t' => out.push(b' '),
            0x00..0x20 | 0x7f => {}
            0x80.. => out.push(FOREIGN),
            _ => out.push(byte),
        }
    }
}

/// Skips what follows an ESC: a control sequence (CSI), a string (OSC and its kin), or one byte.
fn skip_escape(after: &[u8]) -> &[u8] {
    let Some((&kind, after)) = after.split_first() else { return after };
    match kind {
        b'[' => {
            let parameters = after.iter().take_while(|byte| (0x20..0x40).contains(*byte)).count();
            after.get(parameters.saturating_add(1)..).unwrap_or_default()
        }
        b']' | b'P' | b'X' | b'^' | b'_' => {
            match after.iter().position(|byte| matches!(byte, 0x07 | 0x1b)) {
                // BEL ends the string; ESC begins its two-byte terminator.
                Some(end) => {
                    let length = if after.get(end) == Some(&0x1b) { 2 } else { 1 };
                    after.get(end.saturating_add(length)..).unwrap_or_default()
                }
                // An unterminated string must not swallow the rest of the line.
                None => after,
            }
        }
        b'(' | b')' | b'#' | b'%' => after.get(1..).unwrap_or_default(),
        _ => after,
    }
}

/// Skips the remains of a colour (`[0;32m`) or erase (`[K`) sequence whose ESC byte was lost on
/// the way. A kernel time stamp holds spaces or a dot, so it is not taken for one.
fn skip_colour(after: &[u8]) -> Option<&[u8]> {
    let parameters =
        after.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b';').count();
    match after.get(parameters) {
        Some(b'm' | b'K') => after.get(parameters.saturating_add(1)..),
        _ => None,
    }
}
