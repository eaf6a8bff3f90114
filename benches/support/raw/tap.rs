use nix::errno::Errno;
use nix::libc;
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;

/// A TAP that goes with this value until it is made persistent.
#[derive(Debug)]
pub struct Tap(File);

impl Tap {
    /// Makes a TAP of a name that nothing has.
    ///
    /// # Panics
    /// When the kernel refuses.
    #[must_use]
    pub fn create(name: &str) -> Self {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open("/dev/net/tun")
            .expect("/dev/net/tun");
        // SAFETY: `ifreq` is a C struct of integers and byte arrays, for which all zeros is a value.
        let mut request: libc::ifreq = unsafe { core::mem::zeroed() };
        assert!(name.len() < request.ifr_name.len(), "{name} is too long");
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *to = libc::c_char::from_ne_bytes([from]);
        }
        let flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_TUN_EXCL;
        let [low, high, ..] = flags.to_le_bytes();
        request.ifr_ifru.ifru_flags = libc::c_short::from_le_bytes([low, high]);
        // SAFETY: the descriptor is open, and the call reads and writes an `ifreq`, which lives through it.
        let made = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF as _, &raw mut request) };
        assert_eq!(made, 0, "TUNSETIFF {name}: {}", Errno::last());
        Self(file)
    }

    /// Lets the device outlive the descriptor, and closes it.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn persist(self) {
        const ON: libc::c_ulong = 1;
        // SAFETY: the descriptor is open, and `TUNSETPERSIST` takes a number, no pointer.
        let kept = unsafe { libc::ioctl(self.0.as_raw_fd(), libc::TUNSETPERSIST as _, ON) };
        assert_eq!(kept, 0, "TUNSETPERSIST: {}", Errno::last());
    }
}
