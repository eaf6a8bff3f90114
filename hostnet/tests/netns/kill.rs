//! A program that is killed at every system call on its way to making a VM and removing it again, among two hundred
//! others: whoever comes after it finds or removes all that it left, and nothing else has changed.

use crate::shapes;
use crate::world::{Outcome, block_on, owned, snapshot, tests};
use core::time::Duration;
use hostnet::{
    Attachment, Desired, EnsureError, Host, Observed, PlanError, Rate, Subject, garbage,
};
use nix::libc;
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill, raise};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::error::Error;
use std::num::NonZeroU64;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

tests![
    killed_anywhere_a_bridged_vm_is_recovered,
    killed_anywhere_a_vm_in_its_own_namespace_is_recovered,
];

/// Which VM the program is to make that is killed, and in which network namespace; without it this is the program that
/// kills.
pub(crate) const VICTIM: &str = "HOSTNET_VICTIM";
/// Takes every system call, and both ways of recovery for each, where the usual run leaves some out.
const FULL: &str = "HOSTNET_FULL";
/// The VMs that have nothing to do with it, and how many of them have namespaces of their own.
const OTHERS: u8 = 200;
const OTHER_NAMESPACES: u8 = 4;
/// How long the kernel may take to clean up after a namespace that went with its last process.
const PATIENCE: Duration = Duration::from_secs(2);
/// Of the system calls that only look, every so many-th is taken in the usual run.
const STRIDE: usize = 16;

/// The calls by which anything changes.
const CHANGING: [libc::c_long; 6] = [
    libc::SYS_ioctl,
    libc::SYS_mount,
    libc::SYS_sendto,
    libc::SYS_umount2,
    libc::SYS_unlink,
    libc::SYS_unshare,
];

fn killed_anywhere_a_bridged_vm_is_recovered() -> Outcome {
    killed_anywhere("bridged")
}

fn killed_anywhere_a_vm_in_its_own_namespace_is_recovered() -> Outcome {
    killed_anywhere("namespaced")
}

/// The VM that is made and removed.
fn vm(kind: &str) -> Attachment {
    let vm = if kind == "namespaced" { shapes::namespaced(250) } else { shapes::vm(250) };
    let rate = Rate::new(NonZeroU64::new(1_000_000).expect("not zero"));
    vm.with_rate_to_guest(rate).with_rate_from_guest(rate)
}

fn wish(attachments: &[Attachment]) -> Result<Desired, Box<dyn Error>> {
    shapes::wish(&shapes::bridged(), attachments)
}

/// What the child is: it stops twice, to be traced from its birth and when it is ready, makes the VM and removes it.
pub(crate) fn victim(order: &str) -> ExitCode {
    let whole = || -> Outcome {
        let (kind, netns) = order.split_once(' ').ok_or("no namespace")?;
        // Wherever else it was started, there is nothing for it to do.
        if netns != own_netns()? {
            return Err("this is not the namespace of the test".into());
        }
        ptrace::traceme()?;
        raise(Signal::SIGSTOP)?;
        let host = owned("demo");
        raise(Signal::SIGSTOP)?;
        block_on(host.ensure(&wish(&[vm(kind)])?))?;
        block_on(host.remove(&subject(kind)))?;
        Ok(())
    };
    match whole() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the victim: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The number of the calling thread's network namespace.
fn own_netns() -> Result<String, Box<dyn Error>> {
    Ok(std::fs::metadata("/proc/thread-self/ns/net")?.ino().to_string())
}

fn subject(kind: &str) -> BTreeSet<Subject> {
    [Subject::Attachment(vm(kind).id().clone())].into()
}

fn killed_anywhere(kind: &str) -> Outcome {
    let host = owned("demo");
    let namespaces = OTHERS - OTHER_NAMESPACES..OTHERS;
    let others = (0..namespaces.start).map(shapes::vm).chain(namespaces.map(shapes::namespaced));
    block_on(host.ensure(&wish(&others.collect::<Vec<_>>())?))?;
    let before = Scene::of(&host)?;
    assert_eq!(before.observed.subjects().len(), usize::from(OTHERS) + 1);
    let live = before.observed.subjects();

    // Once unharmed, to know what it does.
    let calls = run(kind, None)?.ok_or("killed by somebody else")?;
    before.compare(&host).map_err(|what| format!("unharmed: {what}"))?;
    let full = std::env::var_os(FULL).is_some();
    let is_chosen = |at: usize| {
        let changes = |at: usize| calls.get(at).is_some_and(|call| CHANGING.contains(call));
        // Before a change and after it.
        full || at.is_multiple_of(STRIDE) || changes(at) || at.checked_sub(1).is_some_and(changes)
    };
    let (mut at, mut killed) = (0, 0);
    // It may take a few calls more or less each time, so it is not the list that says when to stop.
    loop {
        if at < calls.len() && !is_chosen(at) {
            at += 1;
            continue;
        }
        let ways: &[Recovery] = match (full, killed % 2) {
            (true, _) => &[Recovery::Ensure, Recovery::Garbage],
            (false, 0) => &[Recovery::Ensure],
            (false, _) => &[Recovery::Garbage],
        };
        for way in ways {
            if run(kind, Some(at))?.is_some() {
                // It came to its end before.
                before.compare(&host)?;
                assert!(at >= calls.len() / 2, "only {at} of {} calls", calls.len());
                eprintln!("{kind}: {} system calls, killed at {killed} of them", calls.len());
                return Ok(());
            }
            recover(kind, *way, &live).and_then(|()| before.compare(&host)).map_err(|error| {
                format!("killed at call {at} of {}, {way:?}: {error}", calls.len())
            })?;
        }
        killed += 1;
        at += 1;
    }
}

/// How whoever comes after it goes on.
#[derive(Debug, Clone, Copy)]
enum Recovery {
    /// The VM is still wanted, and later is not.
    Ensure,
    /// The VM is not wanted, and nobody knows of it any more.
    Garbage,
}

fn recover(kind: &str, way: Recovery, live: &BTreeSet<Subject>) -> Outcome {
    let heir = owned("demo");
    let ensured = || -> Outcome {
        let wish = wish(&[vm(kind)])?;
        ensure_patiently(&heir, &wish)?;
        let left = block_on(heir.verify(&wish))?;
        if !left.is_empty() {
            return Err(format!("left to do: {left}").into());
        }
        block_on(heir.remove(&subject(kind)))?;
        Ok(())
    };
    match way {
        Recovery::Ensure => ensured(),
        Recovery::Garbage => {
            let found = block_on(heir.observe())?;
            let report = garbage(&found, live, Duration::MAX, Duration::ZERO)?;
            block_on(heir.apply(&report.teardown(&found)?))?;
            // A file for a namespace that none was mounted on says nothing of whose it was, so it is left alone; whoever
            // makes the namespace the next time takes it over.
            if vm(kind).namespace().is_some_and(|own| is_plain_file(own.name().as_str())) {
                ensured()?;
            }
            Ok(())
        }
    }
}

/// What the victim's namespace held goes when the kernel comes to it, and is in the way until then.
fn ensure_patiently(heir: &Host, wish: &Desired) -> Outcome {
    let start = Instant::now();
    loop {
        match block_on(heir.ensure(wish)) {
            Err(EnsureError::Plan(PlanError::NamespaceLost { .. }))
                if start.elapsed() < PATIENCE =>
            {
                std::thread::sleep(Duration::from_millis(10));
            }
            other => return Ok(other.map(drop)?),
        }
    }
}

fn is_plain_file(name: &str) -> bool {
    std::path::Path::new("/run/netns").join(name).exists() && hostnet::Netns::named(name).is_err()
}

/// Everything that is there.
#[derive(PartialEq)]
struct Scene {
    observed: Observed,
    /// What is in /run/netns, whatever it is.
    files: BTreeSet<std::ffi::OsString>,
}

impl Scene {
    fn of(host: &Host) -> Result<Self, Box<dyn Error>> {
        let files = std::fs::read_dir("/run/netns")?.map(|entry| Ok(entry?.file_name()));
        let files = files.collect::<Result<_, std::io::Error>>()?;
        Ok(Self { observed: snapshot(host), files })
    }

    /// Says what is not as it was, once the kernel has had the time to clean up.
    fn compare(&self, host: &Host) -> Outcome {
        let start = Instant::now();
        loop {
            let now = Self::of(host)?;
            if now == *self {
                return Ok(());
            }
            if start.elapsed() > PATIENCE {
                return Err(self.difference(&now).into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn difference(&self, now: &Self) -> String {
        let (was, is) = (&self.observed, &now.observed);
        let gone: Vec<_> = was.links.iter().filter(|link| !is.links.contains(link)).collect();
        let new: Vec<_> = is.links.iter().filter(|link| !was.links.contains(link)).collect();
        let rules = if was.table == is.table { "the same" } else { "others" };
        let names = |observed: &Observed| -> Vec<_> {
            observed.namespaces.iter().map(|namespace| namespace.name.to_string()).collect()
        };
        format!(
            "devices gone: {gone:?}\ndevices new: {new:?}\nrules: {rules}\nnamespaces: {:?}, were {:?}\nfiles: {:?}",
            names(is),
            names(was),
            now.files.symmetric_difference(&self.files).collect::<Vec<_>>(),
        )
    }
}

/// Runs the victim, and kills it when its thread that works on the kernel is about to make its `kill_at`-th call from the
/// moment it is ready on. Returns the numbers of its calls if it was not killed.
///
/// What a call did is there when the next one begins, so the moments before calls are all the moments there are.
fn run(kind: &str, kill_at: Option<usize>) -> Result<Option<Vec<libc::c_long>>, Box<dyn Error>> {
    // The kernel has the thread that started the victim for the one that traces it.
    let victim = Command::new(std::env::current_exe()?)
        .env(VICTIM, format!("{kind} {}", own_netns()?))
        .stdin(Stdio::null())
        .spawn()?;
    let main = Pid::from_raw(i32::try_from(victim.id())?);
    // The victim and its threads, and nobody that another thread of this program started.
    let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
    let first = waitpid(main, Some(flags))?;
    if first != WaitStatus::Stopped(main, Signal::SIGSTOP) {
        return Err(format!("it did not stop: {first:?}").into());
    }
    let all = ptrace::Options::PTRACE_O_TRACECLONE
        | ptrace::Options::PTRACE_O_EXITKILL
        | ptrace::Options::PTRACE_O_TRACESYSGOOD;
    ptrace::setoptions(main, all)?;
    ptrace::cont(main, None)?;
    let (mut is_ready, mut is_killed, mut calls) = (false, false, Vec::new());
    // The one thread that it starts is the worker.
    let go_on = |thread: Pid, signal| {
        if thread == main { ptrace::cont(thread, signal) } else { ptrace::syscall(thread, signal) }
    };
    loop {
        let went_on = match waitpid(None, Some(flags))? {
            WaitStatus::Exited(thread, code) if thread == main => {
                return if code == 0 { Ok(Some(calls)) } else { Err("the victim failed".into()) };
            }
            WaitStatus::Signaled(thread, signal, _) if thread == main => {
                return if is_killed { Ok(None) } else { Err(format!("it got {signal}").into()) };
            }
            WaitStatus::PtraceSyscall(thread) => {
                let op = ptrace::syscall_info(thread).map(|info| info.op);
                if is_ready && op == Ok(libc::PTRACE_SYSCALL_INFO_ENTRY) {
                    if kill_at == Some(calls.len()) {
                        is_killed = true;
                        kill(main, Signal::SIGKILL)?;
                        continue;
                    }
                    calls.extend(number_of_call(thread)?);
                }
                go_on(thread, None)
            }
            WaitStatus::Stopped(thread, Signal::SIGSTOP) => {
                is_ready |= thread == main;
                go_on(thread, None)
            }
            WaitStatus::Stopped(thread, signal) => go_on(thread, Some(signal)),
            WaitStatus::PtraceEvent(thread, ..) => go_on(thread, None),
            _ => Ok(()),
        };
        match went_on {
            // Killed meanwhile.
            Err(nix::errno::Errno::ESRCH) => {}
            other => other?,
        }
    }
}

/// The number of the call that a thread is about to make; `None` if its process ended meanwhile, and the thread with it.
fn number_of_call(thread: Pid) -> Result<Option<libc::c_long>, Box<dyn Error>> {
    loop {
        let text = match std::fs::read_to_string(format!("/proc/{thread}/syscall")) {
            Ok(text) => text,
            // Whose memory is gone already belongs to root, so it is not always the error that says so.
            Err(_) if ptrace::syscall_info(thread) == Err(nix::errno::Errno::ESRCH) => {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        // It has said that it stops before it has left its processor.
        if text.trim() != "running" {
            return Ok(Some(text.split(' ').next().ok_or("nothing")?.trim().parse()?));
        }
        std::thread::yield_now();
    }
}
