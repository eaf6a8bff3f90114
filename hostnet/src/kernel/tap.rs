//! TAP devices: the one thing that cannot be made over netlink.

use crate::error::{Cause, Errno, OpError};
use crate::spec::{DeviceName, TapOptions};
use nix::libc;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;

/// Why a TAP could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TapError {
    /// There is no persistent TAP of that name.
    #[error(
        "there is no TAP `{name}` in this network namespace; apply the plan that makes it first"
    )]
    Missing {
        /// The name.
        name: DeviceName,
    },
    /// The kernel refused.
    #[error(transparent)]
    Refused(#[from] OpError),
}

/// Whether TAPs can be made here at all: tries to open /dev/net/tun, and changes nothing.
///
/// # Errors
/// When it is not there or may not be opened; the message says what to do.
pub fn check_tun() -> Result<(), OpError> {
    NewTap::open().map(drop)
}

/// Opens a queue of a persistent TAP, as a VMM does: frames are read from and written to the file.
///
/// `options` must be those the TAP was made with: the kernel refuses another number of queues (`EINVAL`), and takes
/// another `vnet_hdr` in silence, by which every frame would be misread.
///
/// The file is non-blocking and closed on `exec`. It belongs to the calling thread's network namespace.
///
/// # Errors
/// When there is no such TAP, when it is open already (`EBUSY`, unless it has several queues), or when
/// /dev/net/tun cannot be opened.
pub fn open_tap(name: &DeviceName, options: TapOptions) -> Result<File, TapError> {
    let NewTap(file) = NewTap::open()?;
    let refused = |errno: Errno| OpError::new(format!("open the TAP `{name}`"), errno);
    let request = ioctl::Request::new(name, flags(options));
    let request = ioctl::set_interface(&file, request).map_err(refused)?;
    // The kernel makes what is not there; that one is not persistent and goes when `file` is dropped.
    if request.flags() & libc::IFF_PERSIST == 0 {
        return Err(TapError::Missing { name: name.clone() });
    }
    Ok(file)
}

/// A TAP that dies with this value until [`persist`](Self::persist) is called.
#[derive(Debug)]
pub(super) struct NewTap(File);

impl NewTap {
    /// Makes ready for a TAP of this index.
    pub(super) fn with_index(index: u32) -> Result<Self, Cause> {
        let tap = Self::open().map_err(|error| error.cause)?;
        ioctl::set_index(&tap.0, index)?;
        Ok(tap)
    }

    /// Makes the device, of a name that nothing has.
    ///
    /// `IFF_TUN_EXCL` is what makes the kernel refuse a name that a TAP has already; without it that one
    /// would be shared in silence.
    pub(super) fn create(&self, name: &DeviceName, options: TapOptions) -> Result<(), Errno> {
        let request = ioctl::Request::new(name, flags(options) | libc::IFF_TUN_EXCL);
        ioctl::set_interface(&self.0, request).map(drop)
    }

    /// Says who may open it.
    pub(super) fn give(&self, options: TapOptions) -> Result<(), Errno> {
        if let Some(uid) = options.uid {
            ioctl::set_owner(&self.0, uid)?;
        }
        if let Some(gid) = options.gid {
            ioctl::set_group(&self.0, gid)?;
        }
        Ok(())
    }

    /// Lets the device outlive the descriptor, and closes it.
    pub(super) fn persist(self) -> Result<(), Errno> {
        ioctl::set_persist(&self.0)
    }

    fn open() -> Result<Self, OpError> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open("/dev/net/tun")
            .map(Self)
            .map_err(|error| {
                let errno = error.raw_os_error().map_or(Errno::EIO, Errno::new);
                OpError::new("make or open a TAP", Cause::Tun { errno })
            })
    }
}

const fn flags(options: TapOptions) -> libc::c_int {
    let mut flags = libc::IFF_TAP | libc::IFF_NO_PI;
    if options.multi_queue {
        flags |= libc::IFF_MULTI_QUEUE;
    }
    if options.vnet_hdr {
        flags |= libc::IFF_VNET_HDR;
    }
    flags
}

/// The ioctls of `linux/if_tun.h`: all the unsafe code there is.
#[expect(unsafe_code, reason = "TUN/TAP devices are set up by ioctl, which has no safe wrapper")]
mod ioctl {
    use super::{DeviceName, Errno, File};
    use nix::libc;
    use std::os::fd::AsRawFd as _;

    /// What `TUNSETIFF` takes.
    #[derive(Clone, Copy)]
    pub(super) struct Request(libc::ifreq);

    impl Request {
        pub(super) fn new(name: &DeviceName, flags: libc::c_int) -> Self {
            // SAFETY: `ifreq` is a C struct of integers and byte arrays, for which all zeros is a value.
            let mut request: libc::ifreq = unsafe { core::mem::zeroed() };
            // A `DeviceName` has at most 15 bytes, so the sixteenth stays the closing NUL.
            for (to, from) in request.ifr_name.iter_mut().zip(name.as_str().bytes()) {
                *to = libc::c_char::from_ne_bytes([from]);
            }
            // All flags are below 0x1_0000; the field is that wide and signed.
            let [low, high, ..] = flags.to_le_bytes();
            request.ifr_ifru.ifru_flags = libc::c_short::from_le_bytes([low, high]);
            Self(request)
        }

        /// The device's flags.
        pub(super) fn flags(&self) -> libc::c_int {
            // SAFETY: both ioctls fill in the flags, and any bytes are a value of an integer.
            libc::c_int::from(unsafe { self.0.ifr_ifru.ifru_flags })
        }
    }

    /// Makes the descriptor a queue of the device; gives the device's flags back.
    pub(super) fn set_interface(tap: &File, request: Request) -> Result<Request, Errno> {
        let Request(mut request) = request;
        // SAFETY: the descriptor is open; both calls read and write an `ifreq`, and this one lives through them.
        check(unsafe { libc::ioctl(tap.as_raw_fd(), libc::TUNSETIFF as _, &raw mut request) })?;
        // SAFETY: as above.
        check(unsafe { libc::ioctl(tap.as_raw_fd(), libc::TUNGETIFF as _, &raw mut request) })?;
        Ok(Request(request))
    }

    pub(super) fn set_index(tap: &File, index: u32) -> Result<(), Errno> {
        // SAFETY: the descriptor is open, and `TUNSETIFINDEX` reads an unsigned number that lives through the call.
        check(unsafe { libc::ioctl(tap.as_raw_fd(), libc::TUNSETIFINDEX as _, &raw const index) })
    }

    pub(super) fn set_owner(tap: &File, uid: u32) -> Result<(), Errno> {
        // SAFETY: the descriptor is open, and `TUNSETOWNER` takes a number, no pointer.
        check(unsafe {
            libc::ioctl(tap.as_raw_fd(), libc::TUNSETOWNER as _, libc::c_ulong::from(uid))
        })
    }

    pub(super) fn set_group(tap: &File, gid: u32) -> Result<(), Errno> {
        // SAFETY: the descriptor is open, and `TUNSETGROUP` takes a number, no pointer.
        check(unsafe {
            libc::ioctl(tap.as_raw_fd(), libc::TUNSETGROUP as _, libc::c_ulong::from(gid))
        })
    }

    pub(super) fn set_persist(tap: &File) -> Result<(), Errno> {
        const ON: libc::c_ulong = 1;
        // SAFETY: the descriptor is open, and `TUNSETPERSIST` takes a number, no pointer.
        check(unsafe { libc::ioctl(tap.as_raw_fd(), libc::TUNSETPERSIST as _, ON) })
    }

    fn check(result: libc::c_int) -> Result<(), Errno> {
        if result < 0 { Err(Errno::new(nix::errno::Errno::last_raw())) } else { Ok(()) }
    }
}
