"""The form of a group in the file, as far as h5py has no call for it.

HDF5 keeps the links of a group in its header, where one takes some thirty bytes, as long as they
are few: by default eight. From the ninth on they go to a heap and two B-trees, two kilobytes and a
half, more than the rows of a slow job. How many are few, and how much room a header has from the
beginning so that nothing is added in pieces, are properties of the group.

h5py can't set them, but it can ask a group for them. So there is one to be asked: the root of a
file of a hundred bytes, put together here. Format: HDF5 File Format Specification 3.0, sections
II.B (superblock 2), IV.A.1.b (object header 2), IV.A.2.c and .k (link info, group info).
"""

from __future__ import annotations

import io
from struct import pack

import h5py
from h5py import h5g, h5p

from h5daq.storage.superblock import lookup3

__all__ = ["MOST_COMPACT", "group_properties"]

MOST_COMPACT = 64
"""Links that stay in a group's header; of more of them it takes long to find one."""

_FEW, _MANY = (MOST_COMPACT, 48), (8, 6)
"""From how many links on they are in a heap, and with how few they come back; _MANY is HDF5's."""

_MOST_IN_HEADER = 65535
"""Attributes; HDF5 takes no larger number."""

_MOST_ROOM = 8192
_LINK_BYTES = 26
"""Of a link in a header, without its name."""

_SUPERBLOCK_BYTES = 48
_UNDEFINED = 2**64 - 1
_LINK_INFO, _GROUP_INFO = 2, 10


def group_properties(room: int | None) -> h5p.PropGCID:
    """What a group is made with.

    Its links and attributes are kept in order, and all of its attributes in the header. By
    default HDF5 moves more than eight of them to a heap, and in there (seen with 1.14 and 2.0)
    it spoils its own state when one that grows, as the times of restarts do, is written some sixty
    times: from then on the file can't be closed any more. In the header that does not happen.

    Parameters
    ----------
    room : int or None
        Bytes of links and attributes that the header has room for from the beginning, up to 8 KiB;
        None where more than `MOST_COMPACT` links are expected.
    """
    with h5py.File(io.BytesIO(_file_with_group(room)), "r") as file:
        properties = h5g.open(file.id, b"/").get_create_plist()
    in_order = h5p.CRT_ORDER_TRACKED | h5p.CRT_ORDER_INDEXED
    properties.set_link_creation_order(in_order)
    properties.set_attr_creation_order(in_order)
    properties.set_attr_phase_change(_MOST_IN_HEADER, 0)
    properties.set_obj_track_times(True)
    return properties


def _file_with_group(room: int | None) -> bytes:
    """A file that is nothing but its root group."""
    links = pack("<BBQQ", 0, 0, _UNDEFINED, _UNDEFINED)
    # As if one link were expected, with a name as long as all that is to come.
    name = max(0, min(room or 0, _MOST_ROOM) - _LINK_BYTES)
    form = pack("<BBHHHH", 0, 0b11, *(_MANY if room is None else _FEW), 1, name)
    messages = _message(_LINK_INFO, links) + _message(_GROUP_INFO, form)
    header = _summed(pack("<4sBBB", b"OHDR", 2, 0, len(messages)) + messages)
    end = _SUPERBLOCK_BYTES + len(header)
    superblock = b"\x89HDF\r\n\x1a\n" + pack("<BBBB", 2, 8, 8, 0)
    return _summed(superblock + pack("<QQQQ", 0, _UNDEFINED, end, _SUPERBLOCK_BYTES)) + header


def _message(kind: int, body: bytes) -> bytes:
    return pack("<BHB", kind, len(body), 0) + body


def _summed(data: bytes) -> bytes:
    return data + pack("<I", lookup3(data))
