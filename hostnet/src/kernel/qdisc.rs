//! Rate limits on what leaves by a device: the token bucket filter (`tbf`).

use super::attributes::{append, attribute, nest, number, text};
use super::netlink::{Netlink, Refusal};
use crate::spec::Rate;
use core::num::NonZeroU64;
use rtnetlink::packet_core::{DefaultNla, NLM_F_CREATE, NLM_F_ECHO, NLM_F_REPLACE};

/// `RTM_NEWQDISC`, `RTM_DELQDISC`, `RTM_GETQDISC`.
const NEW: u16 = 36;
const DELETE: u16 = 37;
const GET: u16 = 38;
/// The length of `tcmsg`, and the parent of a device's only queue.
const TCMSG_LEN: usize = 20;
const ROOT: u32 = u32::MAX;
/// `TCA_KIND`, `TCA_OPTIONS`, `TCA_TBF_*` of `linux/rtnetlink.h` and `linux/pkt_sched.h`.
const KIND: u16 = 1;
const OPTIONS: u16 = 2;
const PARAMETERS: u16 = 1;
const RATE64: u16 = 4;
const BURST: u16 = 6;
/// `TC_LINKLAYER_ETHERNET`: with it the kernel needs no table of packet sizes.
const LINK_LAYER: u8 = 1;
/// The length of `tc_ratespec`, and where in it the rate is.
const RATESPEC_LEN: usize = 12;
const RATE_AT: usize = 8;

/// Lets packets leave by a device at this rate, or as fast as they come.
pub(super) fn set(netlink: &mut Netlink, index: u32, rate: Option<Rate>) -> Result<(), Refusal> {
    let mut body = head(index);
    let Some(rate) = rate else {
        return netlink.request_raw(DELETE, &body, 0);
    };
    let bytes = rate.bytes_per_second();
    // What does not fit is in an attribute of its own.
    let short = u32::try_from(bytes).unwrap_or(u32::MAX);
    let mut spec = [0; RATESPEC_LEN];
    spec.iter_mut().skip(1).zip([LINK_LAYER]).for_each(|(to, from)| *to = from);
    spec.iter_mut().skip(RATE_AT).zip(short.to_ne_bytes()).for_each(|(to, from)| *to = from);
    // `tc_tbf_qopt`: the rate, no peak rate, the longest queue, and two fields that `BURST` stands for.
    let mut parameters = spec.to_vec();
    parameters.extend([0; RATESPEC_LEN]);
    parameters.extend(rate.queue().to_ne_bytes());
    parameters.extend([0; 8]);
    let mut options = vec![
        DefaultNla::new(PARAMETERS, parameters),
        DefaultNla::new(BURST, rate.burst().to_ne_bytes().to_vec()),
    ];
    if bytes > u64::from(u32::MAX) {
        options.push(DefaultNla::new(RATE64, bytes.to_ne_bytes().to_vec()));
    }
    append(&mut body, &[DefaultNla::new(KIND, b"tbf\0".to_vec()), nest(OPTIONS, &options)]);
    netlink.request_raw(NEW, &body, NLM_F_CREATE | NLM_F_REPLACE)
}

/// The rate at which packets leave by a device, if it is limited.
pub(super) fn get(netlink: &mut Netlink, index: u32) -> Result<Option<Rate>, Refusal> {
    // The kernel tells only those who listen, and whoever asks for an echo.
    Ok(parse(&netlink.ask_raw(GET, &head(index), NLM_F_ECHO)?))
}

fn head(index: u32) -> Vec<u8> {
    // `tcmsg`: family and padding, index, handle, parent, info.
    [0, index, 0, ROOT, 0].iter().flat_map(|field| field.to_ne_bytes()).collect()
}

fn parse(body: &[u8]) -> Option<Rate> {
    let message = body.get(TCMSG_LEN..)?;
    if text(attribute(message, KIND)?) != Some("tbf") {
        return None;
    }
    let options = attribute(message, OPTIONS)?;
    let parameters = attribute(options, PARAMETERS)?;
    let short = number(parameters.get(RATE_AT..)?)?;
    let long = attribute(options, RATE64).and_then(|rate| rate.first_chunk());
    let bytes = long.map_or_else(|| u64::from(short), |rate| u64::from_ne_bytes(*rate));
    let queue = number(parameters.get(2 * RATESPEC_LEN..)?)?;
    let bare = Rate::new(NonZeroU64::new(bytes)?).with_burst(0);
    Some(bare.with_burst(queue.saturating_sub(bare.queue())))
}
