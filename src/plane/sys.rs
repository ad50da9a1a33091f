//! System calls that the standard library does not wrap: many datagrams in one call, and the
//! address a datagram was sent to. The one file that may be `unsafe`; safe functions outward.
#![expect(unsafe_code, reason = "recvmmsg, sendmmsg and control messages have no safe wrapper")]

mod options;

use std::io;
use std::mem::{MaybeUninit, size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};

pub(super) use self::options::{
    aggregate, allow_fragments, knows_bursts, report_destination, report_tos, send_whole,
};
use super::datagram::{Received, Transmit, burst};
use super::error_queue::past_earlier_errors;

/// Datagrams one system call moves at most.
pub(super) const BATCH_MAX: usize = 64;

/// Room for one `in6_pktinfo` (20 bytes) or `in_pktinfo` (12), and two ints, with their headers,
/// aligned.
const CONTROL_BYTES: usize = 88;

#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL_BYTES]);

/// Receives up to [`BATCH_MAX`] datagrams, one per buffer; does not wait.
///
/// Returns how many; the error is `WouldBlock` when there is none. `has_reports` says whether
/// [`report_destination`], [`report_tos`] or [`aggregate`] was asked of this socket.
pub(super) fn recv_batch<'a>(
    fd: BorrowedFd<'_>,
    has_reports: bool,
    buffers: impl Iterator<Item = &'a mut [u8]>,
    received: &mut Vec<Received>,
) -> io::Result<usize> {
    received.clear();
    // Not zeroed: 17 kB for each call would cost more than a packet. What is read of them was
    // written below or by the kernel.
    let mut names = [const { MaybeUninit::<libc::sockaddr_in6>::uninit() }; BATCH_MAX];
    let mut controls = [const { MaybeUninit::<Control>::uninit() }; BATCH_MAX];
    let mut iovecs = [const { MaybeUninit::<libc::iovec>::uninit() }; BATCH_MAX];
    let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; BATCH_MAX];
    let mut count = 0;
    for buffer in buffers.take(BATCH_MAX) {
        let iovec = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        // SAFETY: all zeros is a valid value of the C struct.
        let mut header: libc::mmsghdr = unsafe { zeroed() };
        header.msg_hdr.msg_name = names[count].as_mut_ptr().cast();
        header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
        header.msg_hdr.msg_iov = iovecs[count].write(iovec);
        header.msg_hdr.msg_iovlen = 1;
        if has_reports {
            header.msg_hdr.msg_control = controls[count].as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = CONTROL_BYTES as _;
        }
        headers[count].write(header);
        count += 1;
    }
    let got = past_earlier_errors(|| {
        // SAFETY: `headers[..count]` are written and point to live names, iovecs and controls of
        // this frame, and to `count` distinct buffers borrowed mutably by the caller for this call.
        let got = unsafe {
            libc::recvmmsg(
                fd.as_raw_fd(),
                headers.as_mut_ptr().cast(),
                count as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        usize::try_from(got).map_err(|_| io::Error::last_os_error())
    })?;
    for (header, name) in headers[..got].iter().zip(&names) {
        // SAFETY: `got <= count`, so it was written above.
        let header = unsafe { header.assume_init_ref() };
        // SAFETY: the kernel wrote so many bytes of it.
        let from = unsafe { source(name, header.msg_hdr.msg_namelen) };
        let mut one = Received { len: header.msg_len as usize, from, to: None, tos: 0, segment: 0 };
        if has_reports {
            read_reports(&header.msg_hdr, &mut one);
        }
        received.push(one);
    }
    Ok(got)
}

/// Receives one datagram as [`recv_batch`] does, a tenth cheaper where there is just one and it comes
/// without reports.
pub(super) fn recv_one(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Received> {
    let mut name = MaybeUninit::<libc::sockaddr_in6>::uninit();
    let mut name_len = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
    let len = past_earlier_errors(|| {
        // SAFETY: the buffer is borrowed mutably for the call, and of the name's room the kernel
        // writes no more than `name_len`.
        let got = unsafe {
            libc::recvfrom(
                fd.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                libc::MSG_DONTWAIT,
                name.as_mut_ptr().cast(),
                &raw mut name_len,
            )
        };
        usize::try_from(got).map_err(|_| io::Error::last_os_error())
    })?;
    // SAFETY: the kernel wrote so many bytes of it.
    let from = unsafe { source(&name, name_len) };
    Ok(Received { len, from, to: None, tos: 0, segment: 0 })
}

/// Sends up to [`BATCH_MAX`] datagrams in order; does not wait. With `has_bursts`, those that
/// [`burst`] puts together are one message for the kernel, which cuts it up again.
///
/// Returns how many the kernel took from the front. An error concerns the first one, or the burst
/// that it begins, and is its own.
pub(super) fn send_batch(
    fd: BorrowedFd<'_>,
    bytes: &[u8],
    transmits: &[Transmit],
    has_bursts: bool,
) -> io::Result<usize> {
    if let [one] = transmits
        && one.from.is_none()
        && one.tos == 0
    {
        return send_one(fd, &bytes[one.range.clone()], one.to);
    }
    let mut names = [const { MaybeUninit::<libc::sockaddr_in6>::uninit() }; BATCH_MAX];
    let mut controls = [const { MaybeUninit::<Control>::uninit() }; BATCH_MAX];
    let mut iovecs = [const { MaybeUninit::<libc::iovec>::uninit() }; BATCH_MAX];
    let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; BATCH_MAX];
    let mut lens = [0_u8; BATCH_MAX];
    let transmits = &transmits[..transmits.len().min(BATCH_MAX)];
    for (iovec, transmit) in iovecs.iter_mut().zip(transmits) {
        let payload = &bytes[transmit.range.clone()];
        let iov_base = payload.as_ptr().cast_mut().cast();
        iovec.write(libc::iovec { iov_base, iov_len: payload.len() });
    }
    let iovecs = iovecs.as_mut_ptr().cast::<libc::iovec>();
    let (mut begun, mut count) = (0, 0);
    while begun < transmits.len() {
        let transmit = &transmits[begun];
        let len = if has_bursts { burst(&transmits[begun..]) } else { 1 };
        // SAFETY: all zeros is a valid value of the C struct.
        let mut header: libc::mmsghdr = unsafe { zeroed() };
        header.msg_hdr.msg_namelen = write_address(&mut names[count], transmit.to);
        header.msg_hdr.msg_name = names[count].as_mut_ptr().cast();
        header.msg_hdr.msg_iov = iovecs.wrapping_add(begun);
        header.msg_hdr.msg_iovlen = len as _;
        if transmit.from.is_some() || transmit.tos != 0 || len > 1 {
            let control = controls[count].write(Control([0; CONTROL_BYTES]));
            header.msg_hdr.msg_control = (&raw mut *control).cast();
            header.msg_hdr.msg_controllen = CONTROL_BYTES as _;
            header.msg_hdr.msg_controllen = write_control(&header.msg_hdr, transmit, len > 1) as _;
        }
        headers[count].write(header);
        lens[count] = len as u8;
        begun += len;
        count += 1;
    }
    past_earlier_errors(|| {
        // SAFETY: `headers[..count]` are written and point to live names, iovecs and controls of
        // this frame; the kernel only reads the payloads, which are borrowed for the call.
        let sent = unsafe {
            libc::sendmmsg(
                fd.as_raw_fd(),
                headers.as_mut_ptr().cast(),
                count as libc::c_uint,
                (libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) as _,
            )
        };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    })
    .map(|sent| lens[..sent].iter().map(|len| usize::from(*len)).sum())
}

/// Sends one datagram without anything beside it; returns 1.
fn send_one(fd: BorrowedFd<'_>, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
    let mut name = MaybeUninit::<libc::sockaddr_in6>::uninit();
    let name_len = write_address(&mut name, to);
    past_earlier_errors(|| {
        // SAFETY: the kernel only reads the bytes, borrowed for the call, and what was written of
        // the name.
        let sent = unsafe {
            libc::sendto(
                fd.as_raw_fd(),
                bytes.as_ptr().cast(),
                bytes.len(),
                libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
                name.as_ptr().cast(),
                name_len,
            )
        };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(1) }
    })
}

/// Datagrams that a socket threw away since it was opened, because its buffer was full or its filter
/// said so; it wraps around.
pub(super) fn drops(fd: BorrowedFd<'_>) -> io::Result<u32> {
    // One word for each of the kernel's SK_MEMINFO_*; older kernels knew eight.
    let mut words = [0_u32; SK_MEMINFO_DROPS + 1];
    let mut length = size_of_val(&words) as libc::socklen_t;
    // SAFETY: the kernel writes no more than `length` bytes, which is what `words` has.
    let result = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            words.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result == 0 { Ok(words[SK_MEMINFO_DROPS]) } else { Err(io::Error::last_os_error()) }
}

/// Of `linux/sock_diag.h`.
const SK_MEMINFO_DROPS: usize = 8;

fn set_option(fd: BorrowedFd<'_>, level: i32, name: i32, value: i32) -> io::Result<()> {
    // SAFETY: the option takes an int, and an int is what is pointed to for the call.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The source of a datagram; unspecified and port 0, which is never answered, if the kernel named
/// none.
///
/// # Safety
/// So many bytes of `name` were written, beginning with the family of an address.
unsafe fn source(name: &MaybeUninit<libc::sockaddr_in6>, length: libc::socklen_t) -> SocketAddr {
    let nobody = || SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
    let length = length as usize;
    if length < size_of::<libc::sa_family_t>() {
        return nobody();
    }
    // SAFETY: as the caller says.
    let family = i32::from(unsafe { name.as_ptr().cast::<libc::sa_family_t>().read() });
    if family == libc::AF_INET && length >= size_of::<libc::sockaddr_in>() {
        // SAFETY: the family says which struct lies there, and all its bytes were written.
        let v4 = unsafe { name.as_ptr().cast::<libc::sockaddr_in>().read() };
        let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
        return SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into();
    }
    if family == libc::AF_INET6 && length >= size_of::<libc::sockaddr_in6>() {
        // SAFETY: as above.
        let v6 = unsafe { name.as_ptr().read() };
        let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
        // The flow label is not part of who somebody is; the scope of a link-local one is.
        return SocketAddrV6::new(ip, u16::from_be(v6.sin6_port), 0, v6.sin6_scope_id).into();
    }
    nobody()
}

fn write_address(
    name: &mut MaybeUninit<libc::sockaddr_in6>,
    address: SocketAddr,
) -> libc::socklen_t {
    match address {
        SocketAddr::V4(address) => {
            // SAFETY: all zeros is a valid value.
            let mut v4: libc::sockaddr_in = unsafe { zeroed() };
            v4.sin_family = libc::AF_INET as libc::sa_family_t;
            v4.sin_port = address.port().to_be();
            v4.sin_addr.s_addr = u32::from(*address.ip()).to_be();
            // SAFETY: an IPv6 address is larger than, and aligned like, an IPv4 one.
            unsafe { name.as_mut_ptr().cast::<libc::sockaddr_in>().write(v4) };
            size_of::<libc::sockaddr_in>() as libc::socklen_t
        }
        SocketAddr::V6(address) => {
            // SAFETY: all zeros is a valid value.
            let mut v6: libc::sockaddr_in6 = unsafe { zeroed() };
            v6.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            v6.sin6_port = address.port().to_be();
            v6.sin6_addr.s6_addr = address.ip().octets();
            v6.sin6_scope_id = address.scope_id();
            name.write(v6);
            size_of::<libc::sockaddr_in6>() as libc::socklen_t
        }
    }
}

/// What the control messages of a received datagram say: its destination, its DSCP and ECN, and of
/// what length those are that it is made of.
fn read_reports(header: &libc::msghdr, received: &mut Received) {
    // SAFETY: the kernel filled in `msg_control` and `msg_controllen`; CMSG_* stay inside them.
    unsafe {
        let mut control = libc::CMSG_FIRSTHDR(header);
        while let Some(message) = control.as_ref() {
            let data = libc::CMSG_DATA(control);
            match (message.cmsg_level, message.cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info = data.cast::<libc::in_pktinfo>().read_unaligned();
                    let ip = Ipv4Addr::from(u32::from_be(info.ipi_spec_dst.s_addr));
                    received.to = Some(ip.into());
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info = data.cast::<libc::in6_pktinfo>().read_unaligned();
                    received.to = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
                }
                // IPv4 reports a byte, IPv6 an int.
                (libc::IPPROTO_IP, libc::IP_TOS) => received.tos = data.read(),
                (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                    received.tos = data.cast::<libc::c_int>().read_unaligned() as u8;
                }
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    let segment = data.cast::<libc::c_int>().read_unaligned();
                    received.segment = usize::try_from(segment).unwrap_or(0);
                }
                _ => {}
            }
            control = libc::CMSG_NXTHDR(header, control);
        }
    }
}

/// Writes source address, DSCP and ECN as control messages, where there are any, and the length of
/// the first where it begins a burst; returns the bytes used.
fn write_control(header: &libc::msghdr, transmit: &Transmit, is_burst: bool) -> usize {
    let mut used = 0;
    // SAFETY: `msg_control` points to a zeroed, aligned buffer of CONTROL_BYTES, which holds one
    // address and two ints (asserted below); CMSG_NXTHDR stays inside it.
    unsafe {
        let mut control = libc::CMSG_FIRSTHDR(header);
        match transmit.from {
            Some(IpAddr::V4(ip)) => {
                let mut info: libc::in_pktinfo = zeroed();
                info.ipi_spec_dst.s_addr = u32::from(ip).to_be();
                used += write_message(control, libc::IPPROTO_IP, libc::IP_PKTINFO, info);
                control = libc::CMSG_NXTHDR(header, control);
            }
            Some(IpAddr::V6(ip)) => {
                let mut info: libc::in6_pktinfo = zeroed();
                info.ipi6_addr.s6_addr = ip.octets();
                used += write_message(control, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
                control = libc::CMSG_NXTHDR(header, control);
            }
            None => {}
        }
        if transmit.tos != 0 {
            let (level, name) = if transmit.to.is_ipv6() {
                (libc::IPPROTO_IPV6, libc::IPV6_TCLASS)
            } else {
                (libc::IPPROTO_IP, libc::IP_TOS)
            };
            used += write_message(control, level, name, libc::c_int::from(transmit.tos));
            control = libc::CMSG_NXTHDR(header, control);
        }
        if is_burst {
            let segment = transmit.range.len() as u16;
            used += write_message(control, libc::SOL_UDP, libc::UDP_SEGMENT, segment);
        }
    }
    used
}

const _: () = {
    // SAFETY: computes sizes only.
    let both = unsafe {
        libc::CMSG_SPACE(size_of::<libc::in6_pktinfo>() as libc::c_uint)
            + 2 * libc::CMSG_SPACE(size_of::<libc::c_int>() as libc::c_uint)
    };
    assert!(both as usize <= CONTROL_BYTES);
};

/// # Safety
/// `control` points to a header with room for `value` behind it.
unsafe fn write_message<T>(
    control: *mut libc::cmsghdr,
    level: libc::c_int,
    name: libc::c_int,
    value: T,
) -> usize {
    let size = size_of::<T>() as libc::c_uint;
    // SAFETY: as the caller says.
    unsafe {
        (*control).cmsg_level = level;
        (*control).cmsg_type = name;
        (*control).cmsg_len = libc::CMSG_LEN(size) as _;
        libc::CMSG_DATA(control).cast::<T>().write_unaligned(value);
        libc::CMSG_SPACE(size) as usize
    }
}

#[cfg(test)]
mod tests;
