use super::evidence::{Evidence, Folder, Process, Ssh, SshAnswer};
use super::value::{Crash, Degradation, Running, Status};
use crate::address::{Candidate, Confidence, is_host_address};

/// The status that follows from the evidence, and from nothing else.
///
/// In this order: no folder is missing; no process is stopped (crashed, if it told a failure or
/// its console ended in a panic); a suspended process is paused; a panic or other trouble on the
/// console that no later SSH answer refutes is crashed or degraded; no IPv4 address of this boot
/// is initializing; an address without an SSH answer of this boot is booting; both are running.
///
/// An unconfirmed address (a cache) does not count, unless the banner came from that very address.
///
/// ```
/// use core::time::Duration;
/// use vmstatus::address::{Candidate, Source};
/// use vmstatus::{Evidence, Folder, Generation, Process, Ssh, SshAnswer, derive};
///
/// let (now, boot) = (Duration::from_secs(1_700_000_000), Generation::new(1, 1));
/// let evidence = Evidence::new(Folder::Present, Process::Alive, boot)
///     .with_address(Candidate::new([172, 16, 0, 2].into(), Source::Neighbour, now, boot));
/// assert_eq!(derive(&evidence).as_str(), "booting");
///
/// let banner = "SSH-2.0-OpenSSH_9.6".parse()?;
/// let answer = SshAnswer::new(banner, ([127, 0, 0, 1], 22001).into(), now, boot);
/// let status = derive(&evidence.with_ssh(Ssh::Answered(answer)));
/// assert_eq!((status.as_str(), status.ipv4()), ("running", Some([172, 16, 0, 2].into())));
/// # Ok::<(), vmstatus::BannerError>(())
/// ```
#[must_use]
pub fn derive(evidence: &Evidence) -> Status {
    if evidence.folder == Folder::Absent {
        return Status::Missing;
    }
    let answer = answer_of_this_boot(evidence);
    match evidence.process {
        Process::Exited(exit) if !exit.is_success() => {
            return Status::Crashed { reason: Crash::Exit(exit) };
        }
        Process::Absent | Process::Unknown | Process::Exited(_) => {
            if evidence.folder == Folder::Unknown && evidence.process == Process::Unknown {
                return Status::Missing;
            }
            return match trouble(evidence, answer) {
                Some(crashed @ Status::Crashed { .. }) => crashed,
                _ => Status::Stopped,
            };
        }
        Process::Paused => return Status::Paused,
        Process::Alive => {}
    }
    if let Some(status) = trouble(evidence, answer) {
        return status;
    }
    let Some(address) = address_of_this_boot(evidence, answer) else {
        return Status::Initializing;
    };
    answer
        .and_then(|answer| Running::prove(evidence.generation, address, answer))
        .map_or_else(|| Status::Booting { ipv4: address.ip() }, Status::Running)
}

fn answer_of_this_boot(evidence: &Evidence) -> Option<&SshAnswer> {
    match &evidence.ssh {
        Ssh::Answered(answer) if answer.generation() == evidence.generation => Some(answer),
        _ => None,
    }
}

fn address_of_this_boot<'a>(
    evidence: &'a Evidence,
    answer: Option<&SshAnswer>,
) -> Option<&'a Candidate> {
    evidence.address.as_ref().filter(|address| {
        let confirmed = address.confidence() > Confidence::Unconfirmed
            || answer.is_some_and(|answer| answer.from().ip() == address.ip());
        confirmed && address.generation() == evidence.generation && is_host_address(address.ip())
    })
}

fn trouble(evidence: &Evidence, answer: Option<&SshAnswer>) -> Option<Status> {
    let (trouble, seen) = evidence.trouble.as_ref()?;
    if answer.is_some_and(|answer| answer.at() >= *seen) {
        return None;
    }
    Some(if trouble.is_fatal() {
        Status::Crashed { reason: Crash::Panic(trouble.clone()) }
    } else {
        Status::Degraded { reason: Degradation::Trouble(trouble.clone()) }
    })
}
