//! Work inside a VM's namespace. The thread goes there and comes back before anything else is asked of it.

use super::backend::Kernel;
use super::link::{self, At, State};
use super::links;
use super::netlink::Refusal;
use super::netns::{self, Netns, NetnsError};
use crate::apply;
use crate::backend::{Backend as _, Effect, Scope};
use crate::error::{Cause, Errno, OpError};
use crate::observed::{Observed, ObservedNamespace};
use crate::op::Op;
use crate::spec::{NamespaceName, Owner};
use crate::tag::Tag;
use nix::sched::{CloneFlags, setns, unshare};
use std::os::unix::fs::MetadataExt as _;

impl Kernel {
    /// Makes a namespace, does everything inside, and gives it its name at last: until then it goes with this thread's
    /// leaving it, whatever fails and wherever we are killed.
    pub(super) fn create_namespace(
        &mut self,
        name: &NamespaceName,
        inside: &[Op],
        tag: &Tag,
    ) -> Result<Effect, OpError> {
        let failed = |cause: Cause| OpError::new(format!("ip netns add {name}"), cause);
        match Netns::named(name.as_str()) {
            Err(NetnsError::Missing { .. }) => {}
            Ok(_) => return Err(failed(Cause::NamespaceTaken { name: name.to_string() })),
            Err(error) => return Err(failed(error.into())),
        }
        unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| failed(errno_of(errno).into()))?;
        let made = self.open_inside().map_err(|error| failed(Refusal::from(error).into()));
        let made = made.and_then(|mut inner| {
            let made = self.furnish(&mut inner, name, inside, tag);
            self.close_inside(inner);
            made
        });
        self.come_back().map_err(failed)?;
        made.map(|()| Effect::Changed)
    }

    /// Does everything inside a namespace that is new, and gives it its name.
    fn furnish(
        &mut self,
        inner: &mut Self,
        name: &NamespaceName,
        inside: &[Op],
        tag: &Tag,
    ) -> Result<(), OpError> {
        let failed = |cause: Cause| OpError::new(format!("ip netns add {name}"), cause);
        link::set_state(&mut inner.route, At::Name("lo"), State::Up)
            .and_then(|()| link::set_home(&mut inner.route, self.inode()?))
            .and_then(|()| link::tag(&mut inner.route, At::Name("lo"), tag))
            .map_err(|refusal| failed(refusal.into()))?;
        self.all_inside(inner, name, inside)?;
        netns::pin(name.as_str()).map_err(|error| {
            // What is half outside would stay for as long as the kernel takes to clean up.
            let _ = self.undo_inside(inner, name, inside);
            failed(error.into())
        })
    }

    /// Does something in the namespace of this name, if it is the one that is meant.
    pub(super) fn in_namespace(
        &mut self,
        name: &NamespaceName,
        inside: &[Op],
        tag: &Tag,
    ) -> Result<Effect, OpError> {
        self.visit(name, |outer, inner| {
            let found = links::find(&mut inner.route, At::Tag(tag));
            if !matches!(found, Ok(Some(_))) {
                let cause = Cause::NamespaceMissing { name: name.to_string() };
                return Err(OpError::new(format!("ip netns exec {name}"), cause));
            }
            outer.all_inside(inner, name, inside)
        })
    }

    /// Deletes the namespace of this name, if it is the one that is meant. Not there is success.
    pub(super) fn delete_namespace(
        &mut self,
        name: &NamespaceName,
        tag: &Tag,
    ) -> Result<Effect, OpError> {
        let failed = |cause: Cause| OpError::new(format!("ip netns del {name}"), cause);
        let is_it = self.visit(name, |_, inner| {
            links::find(&mut inner.route, At::Tag(tag)).map_err(|refusal| failed(refusal.into()))
        });
        match is_it {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(Effect::Unchanged),
            Err(OpError { cause: Cause::NamespaceMissing { .. }, .. }) => {
                return Ok(Effect::Unchanged);
            }
            Err(error) => return Err(error),
        }
        Netns::remove(name.as_str()).map_err(|error| failed(error.into()))?;
        Ok(Effect::Changed)
    }

    /// Looks at the namespace of this name; none if there is none.
    pub(super) fn observe_namespace(
        &mut self,
        owner: &Owner,
        name: &NamespaceName,
    ) -> Result<Option<ObservedNamespace>, OpError> {
        let seen = self.visit(name, |outer, inner| {
            let doing = |refusal: Refusal| refusal.doing(format!("look into {name}"));
            let lo = links::find(&mut inner.route, At::Name("lo")).map_err(doing)?;
            let home = outer.inode().map_err(doing)?;
            // Another namespace's, with which this one shares its /run/netns, is none of ours.
            let tag = lo.filter(|found| found.home == Some(home)).and_then(|found| found.link.tag);
            let ours = tag.as_ref().is_some_and(|tag| tag.owner() == owner);
            let inside = if ours { Some(Box::new(inner.observe_inside(owner)?)) } else { None };
            Ok(ObservedNamespace { name: name.clone(), tag, inside })
        });
        match seen {
            Ok(seen) => Ok(Some(seen)),
            Err(OpError { cause: Cause::NamespaceMissing { .. }, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn observe_inside(&mut self, owner: &Owner) -> Result<Observed, OpError> {
        let mut seen = self.observe(owner, &Scope::Everything)?;
        // The namespace's own tag is told of beside it.
        seen.links.iter_mut().filter(|link| link.name == "lo").for_each(|lo| lo.tag = None);
        Ok(seen)
    }

    fn visit<T>(
        &mut self,
        name: &NamespaceName,
        work: impl FnOnce(&mut Self, &mut Self) -> Result<T, OpError>,
    ) -> Result<T, OpError> {
        let failed = |cause: Cause| OpError::new(format!("enter the namespace {name}"), cause);
        let netns = Netns::named(name.as_str()).map_err(|error| match error {
            NetnsError::Missing { .. } => {
                failed(Cause::NamespaceMissing { name: name.to_string() })
            }
            error => failed(error.into()),
        })?;
        netns.enter().map_err(|error| failed(error.into()))?;
        let opened = self.open_inside().map_err(|error| failed(Refusal::from(error).into()));
        let done = opened.and_then(|mut inner| {
            let done = work(self, &mut inner);
            self.close_inside(inner);
            done
        });
        self.come_back().map_err(failed)?;
        done
    }

    /// The number by which this namespace is known to its own.
    fn inode(&self) -> Result<u64, Refusal> {
        Ok(self.home.metadata()?.ino())
    }

    fn come_back(&mut self) -> Result<(), Cause> {
        setns(&self.home, CloneFlags::CLONE_NEWNET).map_err(|_errno| {
            // Whatever this thread did now would be done elsewhere.
            self.lost = true;
            Cause::Lost
        })
    }

    fn all_inside(
        &mut self,
        inner: &mut Self,
        name: &NamespaceName,
        ops: &[Op],
    ) -> Result<Effect, OpError> {
        apply::inside(ops, |op| self.one_inside(inner, name, op))
    }

    fn undo_inside(
        &mut self,
        inner: &mut Self,
        name: &NamespaceName,
        ops: &[Op],
    ) -> Result<(), OpError> {
        let mut back = ops.iter().rev().filter_map(Op::inverse);
        back.try_for_each(|op| self.one_inside(inner, name, &op).map(|_| ()))
    }

    fn one_inside(
        &mut self,
        inner: &mut Self,
        name: &NamespaceName,
        op: &Op,
    ) -> Result<Effect, OpError> {
        match op {
            Op::CreateVeth { here, there, mtu } => inner
                .make(|inner| inner.create_veth(here, there, *mtu, Some((&mut *self, name))))
                .map_err(|cause| OpError::new(super::backend::first_line(op), cause)),
            op => inner.execute(op),
        }
    }
}

impl From<NetnsError> for Cause {
    fn from(error: NetnsError) -> Self {
        match error {
            NetnsError::Exists { name } => Self::NamespaceTaken { name },
            NetnsError::Missing { name } | NetnsError::Name { name } => {
                Self::NamespaceMissing { name }
            }
            NetnsError::Io { source, .. } => Refusal::from(source).into(),
        }
    }
}

const fn errno_of(errno: nix::errno::Errno) -> Errno {
    Errno::new(errno as i32)
}
