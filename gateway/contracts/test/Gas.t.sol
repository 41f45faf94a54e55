// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Inbox} from "../Inbox.sol";
import {Token} from "../examples/Token.sol";
import {Base, Draft} from "./Base.sol";

/// A recipient that does a little: one word.
contract Counter {
    uint256 public count = 1;

    receive() external payable {}

    function onDistpos(bytes32, string calldata, string calldata, string calldata, uint256, bytes calldata) external {
        count++;
    }
}

/// What a delivered message costs, as a receipt has it: 21,000 for the transaction, calldata by the
/// byte, execution, less what is refunded. `gas.sh` prints the table. All places are cold, as they
/// are for a transaction.
contract GasTest is Base {
    /// forge shows this one as a line.
    event log(string);

    /// A transaction's target is warm from the start (EIP-2929); here it is cooled like the rest.
    uint256 private constant TARGET = 2_600;
    /// What a transaction gets back for the lock that it sets and clears (EIP-3529).
    uint256 private constant REFUND = 2_800;
    /// Most that a message in a batch of twenty may cost, in % of a single one.
    uint256 private constant BATCH_PERCENT_MAX = 60;
    Counter private counter;
    Token private token;

    function setUp() public override {
        super.setUp();
        counter = new Counter();
        token = new Token();
        token.mint(address(door), 1 ether);
        vm.startPrank(owner);
        door.setAccount(THERE, "e2e4/test", address(token), TERMS, 1000 ether, 0, 0);
        vm.stopPrank();
        // Neither the first of its peer, nor to accounts that are new.
        assertDelivered(deliver(payment(10_000, 1)));
        for (uint160 i = 0; i < 50; i++) {
            vm.deal(wallet(i), 1);
            token.mint(wallet(i), 1);
        }
        Draft memory m = payment(10_001, 1);
        (m.asset) = "e2e4/test";
        assertDelivered(deliver(m));
    }

    function wallet(uint160 i) private view returns (address) {
        return address(uint160(bob) + 0x10000 + i);
    }

    function plain(uint64 i) private view returns (Draft memory m) {
        m = payment(i + 1, 0.142857142857142857 ether);
        m.recipient = hexText(wallet(i));
    }

    function data(uint64 i) private view returns (Draft memory m) {
        m = payment(i + 1, 0.142857142857142857 ether);
        (m.recipient, m.data, m.gas) = (hexText(address(counter)), new bytes(68), 100_000);
        for (uint256 b = 0; b < 68; b++) m.data[b] = bytes1(uint8(b + 1));
    }

    function inToken(uint64 i) private view returns (Draft memory m) {
        m = payment(i + 1, 7_777_777);
        (m.asset, m.recipient) = ("e2e4/test", hexText(wallet(i)));
    }

    /// Gas of a transaction that delivers `count` messages, a message.
    function cost(uint256 count, function(uint64) view returns (Draft memory) make) private returns (uint256) {
        bytes[] memory batch = new bytes[](count);
        for (uint64 i = 0; i < count; i++) batch[i] = encode(make(i));
        bytes memory input = abi.encodeCall(door.deliver, (batch));
        uint256 gas = 21_000;
        for (uint256 i = 0; i < input.length; i++) gas += input[i] == 0 ? 4 : 16;
        uint256 snapshot = vm.snapshotState();
        vm.cool(address(door));
        vm.cool(address(counter));
        vm.cool(address(token));
        for (uint160 i = 0; i < count; i++) vm.cool(wallet(i));
        vm.prank(gateway);
        gas += spent(address(door), input);
        for (uint256 i = 0; i < count; i++) assertGuard(idOf(batch[i]), Inbox.Guard.Delivered);
        vm.revertToState(snapshot);
        return (gas - TARGET - REFUND) / count;
    }

    /// In place: a call in Solidity copies its input first, and that would be counted.
    function spent(address to, bytes memory input) private returns (uint256 used) {
        assembly ("memory-safe") {
            let before := gas()
            pop(call(gas(), to, 0, add(input, 32), mload(input), 0, 0))
            used := sub(before, gas())
        }
    }

    function table(string memory name, function(uint64) view returns (Draft memory) make) private {
        uint256[6] memory counts = [uint256(1), 2, 5, 10, 20, 50];
        uint256 single;
        for (uint256 i = 0; i < 6; i++) {
            uint256 gas = cost(counts[i], make);
            if (i == 0) single = gas;
            uint256 percent = (gas * 100 + single / 2) / single;
            emit log(
                string.concat(name, " | batch ", vm.toString(counts[i]), " | gas ", vm.toString(gas), " | ", vm.toString(percent), " %")
            );
            if (counts[i] == 20) assertTrue(percent <= BATCH_PERCENT_MAX, "a batch is too dear");
        }
    }

    function test_gas_of_a_plain_payment() public {
        table("plain payment", plain);
    }

    function test_gas_of_a_data_call() public {
        table("data call    ", data);
    }

    /// What is paid out of the peer's own deposit changes the sum of covers too.
    function test_gas_of_a_prepaid_payment() public {
        door.deposit{value: 50 ether}(THERE, COIN, 50 ether);
        table("prepaid      ", plain);
    }

    /// What the other direction costs: leaving, and its end by a receipt.
    function test_gas_of_what_leaves() public {
        bytes32[] memory ids = new bytes32[](22);
        for (uint256 i = 0; i < 22; i++) ids[i] = door.send{value: 5}("b1c2xabc", "", 0, 0, 0);
        close(ids[21]);
        bytes memory input = abi.encodeCall(door.send, ("b1c2xabc", "", 0, 0, 0));
        emit log(string.concat("send          | batch 1 | gas ", vm.toString(paid(input, 5))));
        bytes32[] memory some = new bytes32[](20);
        for (uint256 i = 0; i < 20; i++) some[i] = ids[i];
        input = abi.encodeCall(door.end, (some, new bytes32[](0)));
        emit log(string.concat("close         | batch 20 | gas ", vm.toString(paid(input, 0) / 20)));
        input = abi.encodeCall(door.end, (only(ids[20]), new bytes32[](0)));
        emit log(string.concat("close         | batch 1 | gas ", vm.toString(paid(input, 0))));
    }

    /// Gas of a transaction to the door by the gateway.
    function paid(bytes memory input, uint256 value) private returns (uint256 gas) {
        gas = 21_000;
        for (uint256 i = 0; i < input.length; i++) gas += input[i] == 0 ? 4 : 16;
        vm.cool(address(door));
        vm.deal(gateway, value);
        address to = address(door);
        bool ok;
        uint256 used;
        vm.prank(gateway);
        assembly ("memory-safe") {
            let before := gas()
            ok := call(gas(), to, value, add(input, 32), mload(input), 0, 0)
            used := sub(before, gas())
        }
        assertTrue(ok, "done");
        return gas + used - TARGET;
    }

    function test_gas_of_a_token_payment() public {
        table("token payment", inToken);
    }
}
