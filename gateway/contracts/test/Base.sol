// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Inbox} from "../Inbox.sol";
import {Office} from "../Office.sol";
import {Outbox} from "../Outbox.sol";
import {Text} from "../Text.sol";
import {Vm} from "./Vm.sol";

/// All that can be called at the address of `Distpos`, whether it does it itself or its office.
abstract contract Door is Office, Outbox, Inbox {}

/// A message as a test writes it down.
struct Draft {
    string source;
    bytes8 sourceTag;
    string destination;
    bytes8 destinationTag;
    bytes outbox;
    uint64 sequence;
    string sender;
    string recipient;
    string asset;
    bytes terms;
    uint256 amount;
    bytes data;
    uint64 gas;
    uint8 onFail;
    uint64 expires;
}

/// What all tests share: a contract on chain `e2e4` that knows `b1c2`, one gateway, an encoder of
/// its own (written from the CDDL, not from the contracts), and assertions.
abstract contract Base {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    /// forge takes a test for one by this.
    bool public constant IS_TEST = true;

    string internal constant HERE = "e2e4";
    string internal constant THERE = "b1c2";
    string internal constant COIN = "e2e4/coin";
    bytes8 internal constant TAG = 0x0102030405060708;
    bytes8 internal constant TAG_THERE = 0x1112131415161718;
    /// What all accounts are opened under where a test does not say otherwise.
    bytes32 internal constant TERMS = keccak256("what both sides signed");
    uint256 internal constant NOW = 1_700_000_000;

    address internal owner = address(0xA11CE0001);
    address internal gateway = address(0xA11CE0002);
    address internal alice = address(0xA11CE0003);
    address internal bob = address(0xB0b0000000000000000000000000000000000004);
    Door internal door;

    function setUp() public virtual {
        vm.warp(NOW);
        door = deploy(HERE, TAG, owner);
        vm.startPrank(owner);
        door.setGateway(gateway, true);
        door.setPeer(THERE, TAG_THERE);
        door.setAccount(THERE, COIN, address(0), TERMS, 1000 ether, 0, 0);
        vm.stopPrank();
        vm.deal(alice, 10_000 ether);
        vm.deal(address(this), 10_000 ether);
        door.fund{value: 100 ether}();
    }

    receive() external payable {}

    /// The contract as it is deployed: the committed artefact, not what forge compiles.
    function deploy(string memory chain, bytes8 tag, address first) internal returns (Door) {
        bytes memory code = vm.parseJsonBytes(vm.readFile("artefacts/Distpos.json"), ".bytecode");
        code = bytes.concat(code, abi.encode(chain, tag, first));
        address place;
        assembly {
            place := create(0, add(code, 32), mload(code))
            if iszero(place) {
                returndatacopy(0, 0, returndatasize())
                revert(0, returndatasize())
            }
        }
        return Door(place);
    }

    // Messages

    /// A payment from `63ea…` on `b1c2` to bob.
    function payment(uint64 sequence, uint256 amount) internal view returns (Draft memory m) {
        m = note(sequence);
        m.asset = COIN;
        m.terms = abi.encodePacked(TERMS);
        m.amount = amount;
    }

    /// The same without value.
    function note(uint64 sequence) internal view returns (Draft memory m) {
        (m.source, m.sourceTag, m.destination, m.destinationTag) = (THERE, TAG_THERE, HERE, TAG);
        m.outbox = hex"5b38da6a701c568545dcfcb03fcb875f56beddc4";
        m.sequence = sequence;
        m.sender = "63ea7F78107dF4C6fd8b17e7b05b1b3D41a5B1Ab";
        m.recipient = hexText(bob);
        m.expires = uint64(NOW + 1 days);
    }

    function encode(Draft memory m) internal pure returns (bytes memory) {
        bytes memory amount;
        for (uint256 rest = m.amount; rest != 0; rest >>= 8) {
            amount = bytes.concat(bytes1(uint8(rest)), amount);
        }
        bytes memory start = bytes.concat(
            hex"b0000101", text(m.source), hex"02", blob(abi.encodePacked(m.sourceTag)), hex"03", text(m.destination)
        );
        start = bytes.concat(
            start, hex"04", blob(abi.encodePacked(m.destinationTag)), hex"05", blob(m.outbox), hex"06", head(0, m.sequence)
        );
        start = bytes.concat(start, hex"07", text(m.sender), hex"08", text(m.recipient), hex"09", text(m.asset));
        start = bytes.concat(start, hex"0a", blob(m.terms), hex"0b", blob(amount), hex"0c", blob(m.data));
        return bytes.concat(
            start, hex"0d", head(0, m.gas), hex"0e", head(0, m.onFail), hex"0f", head(0, m.expires)
        );
    }

    function text(string memory value) internal pure returns (bytes memory) {
        return bytes.concat(head(3, bytes(value).length), bytes(value));
    }

    function blob(bytes memory value) internal pure returns (bytes memory) {
        return bytes.concat(head(2, value.length), value);
    }

    function head(uint8 major, uint256 value) internal pure returns (bytes memory) {
        uint8 kind = major << 5;
        if (value < 24) return abi.encodePacked(uint8(kind | value));
        if (value < 1 << 8) return abi.encodePacked(kind | 24, uint8(value));
        if (value < 1 << 16) return abi.encodePacked(kind | 25, uint16(value));
        if (value < 1 << 32) return abi.encodePacked(kind | 26, uint32(value));
        return abi.encodePacked(kind | 27, uint64(value));
    }

    function idOf(bytes memory message) internal pure returns (bytes32) {
        return sha256(bytes.concat("distpos/message/1", message));
    }

    function idOf(Draft memory m) internal pure returns (bytes32) {
        return idOf(encode(m));
    }

    /// 40 lower-case hex digits.
    function hexText(address account) internal pure returns (string memory) {
        bytes memory out = new bytes(40);
        for (uint256 i = 0; i < 40; i++) {
            uint8 digit = uint8(uint160(account) >> (4 * (39 - i))) & 15;
            out[i] = bytes1(digit < 10 ? 48 + digit : 87 + digit);
        }
        return string(out);
    }

    // Deliveries

    function only(bytes memory one) internal pure returns (bytes[] memory all) {
        all = new bytes[](1);
        all[0] = one;
    }

    function because(string memory one) internal pure returns (string[] memory all) {
        all = new string[](1);
        all[0] = one;
    }

    function only(bytes32 one) internal pure returns (bytes32[] memory all) {
        all = new bytes32[](1);
        all[0] = one;
    }

    function deliver(bytes memory message) internal returns (Inbox.Result memory) {
        return deliverBy(gateway, message);
    }

    function deliver(Draft memory m) internal returns (Inbox.Result memory) {
        return deliverBy(gateway, encode(m));
    }

    function deliverBy(address by, bytes memory message) internal returns (Inbox.Result memory) {
        vm.prank(by);
        return door.deliver(only(message))[0];
    }

    function voidBy(address by, bytes memory message, string memory reason) internal returns (Inbox.Result memory) {
        vm.prank(by);
        return door.voidMessages(only(message), because(reason))[0];
    }

    function close(bytes32 id) internal {
        vm.prank(gateway);
        door.end(only(id), new bytes32[](0));
    }

    function refund(bytes32 id) internal {
        vm.prank(gateway);
        door.end(new bytes32[](0), only(id));
    }

    // Assertions

    function assertDelivered(Inbox.Result memory result) internal pure {
        assertOutcome(result, Inbox.Outcome.Delivered, "");
    }

    function assertSkipped(Inbox.Result memory result, string memory reason) internal pure {
        assertOutcome(result, Inbox.Outcome.Skipped, reason);
    }

    function assertVoided(Inbox.Result memory result, string memory reason) internal pure {
        assertOutcome(result, Inbox.Outcome.Voided, reason);
    }

    function assertOutcome(Inbox.Result memory result, Inbox.Outcome outcome, string memory reason) internal pure {
        require(
            result.outcome == outcome && same(result.reason, reason),
            string.concat(
                "outcome ", vm.toString(uint256(result.outcome)), " \"", result.reason, "\", expected ", vm.toString(uint256(outcome)), " \"", reason, "\""
            )
        );
    }

    function assertEq(uint256 found, uint256 expected, string memory what) internal pure {
        require(
            found == expected,
            string.concat(what, ": found ", vm.toString(found), ", expected ", vm.toString(expected))
        );
    }

    function assertEq(string memory found, string memory expected) internal pure {
        require(same(found, expected), string.concat("found \"", found, "\", expected \"", expected, "\""));
    }

    function assertTrue(bool truth, string memory what) internal pure {
        require(truth, what);
    }

    function assertGuard(bytes32 id, Inbox.Guard expected) internal view {
        assertEq(uint256(door.guard(id)), uint256(expected), "guard");
    }

    function same(string memory a, string memory b) internal pure returns (bool) {
        return keccak256(bytes(a)) == keccak256(bytes(b));
    }

    function received(string memory chain, string memory asset) internal view returns (uint256 sum) {
        (, sum,,) = door.bookOf(chain, asset);
    }

    function sentSum(string memory chain, string memory asset) internal view returns (uint256 sum) {
        (,, sum,) = door.bookOf(chain, asset);
    }

    function reserveOf(string memory chain, string memory asset) internal view returns (uint256 sum) {
        (sum,,,) = door.bookOf(chain, asset);
    }

    function pendingOut(string memory chain, string memory asset) internal view returns (uint256 sum) {
        (,,, sum) = door.bookOf(chain, asset);
    }

    /// Money here that is the peer's, by the figures.
    function coverOf(string memory chain, string memory asset) internal view returns (uint256) {
        (uint256 reserve, uint256 arrived, uint256 left,) = door.bookOf(chain, asset);
        return left + reserve > arrived ? left + reserve - arrived : 0;
    }

    /// The data of the last log of an event that the door emitted while logs were recorded.
    function logOf(bytes32 topic) internal returns (bool found, bytes32 id, bytes memory data) {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; i++) {
            if (logs[i].emitter != address(door) || logs[i].topics[0] != topic) continue;
            found = true;
            (id, data) = (logs[i].topics.length > 1 ? logs[i].topics[1] : bytes32(0), logs[i].data);
        }
    }
}
