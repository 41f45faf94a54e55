// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IRecipient} from "../Executor.sol";
import {Token} from "../examples/Token.sol";

/// Any call that a test wants made by somebody else.
struct Step {
    address to;
    uint256 value;
    bytes input;
}

/// Makes prepared calls when it is paid or called, and remembers how they ended.
contract Puppet is IRecipient {
    Step[] public onPayment;
    Step[] public onCall;
    bool[] public worked;
    bytes[] public answers;
    string public sender;
    uint256 public amount;

    receive() external payable {
        run(onPayment);
    }

    function whenPaid(address to, uint256 value, bytes memory input) external {
        onPayment.push(Step(to, value, input));
    }

    function whenCalled(address to, uint256 value, bytes memory input) external {
        onCall.push(Step(to, value, input));
    }

    function act(address to, uint256 value, bytes memory input) external payable returns (bytes memory answer) {
        bool ok;
        (ok, answer) = to.call{value: value}(input);
        if (!ok) {
            assembly {
                revert(add(answer, 32), mload(answer))
            }
        }
    }

    function onDistpos(bytes32, string calldata, string calldata sender_, string calldata, uint256 amount_, bytes calldata)
        external
    {
        (sender, amount) = (sender_, amount_);
        run(onCall);
    }

    function run(Step[] storage steps) private {
        for (uint256 i = 0; i < steps.length; i++) {
            (bool ok, bytes memory answer) = steps[i].to.call{value: steps[i].value}(steps[i].input);
            worked.push(ok);
            answers.push(answer);
        }
    }
}

/// A wallet that notes what it gets, as many do: a refund needs some gas to arrive.
contract Wallet {
    uint256 public last;

    receive() external payable {
        last = msg.value;
    }

    function send(address door, bytes calldata input) external payable returns (bytes32 id) {
        (bool ok, bytes memory answer) = door.call{value: msg.value}(input);
        require(ok, "not sent");
        return abi.decode(answer, (bytes32));
    }
}

/// Takes no payment, or takes it and burns all gas it gets.
contract Burner is IRecipient {
    bool public immutable onPayment;

    constructor(bool onPayment_) {
        onPayment = onPayment_;
    }

    receive() external payable {
        if (onPayment) burn();
    }

    function onDistpos(bytes32, string calldata, string calldata, string calldata, uint256, bytes calldata)
        external
        view
    {
        burn();
    }

    function burn() private view {
        uint256 i;
        while (gasleft() > 0) i++;
    }
}

/// Answers every call with a megabyte, as a return or as a revert.
contract Bomb is IRecipient {
    bool public immutable reverts;

    constructor(bool reverts_) {
        reverts = reverts_;
    }

    receive() external payable {
        explode();
    }

    function onDistpos(bytes32, string calldata, string calldata, string calldata, uint256, bytes calldata)
        external
        view
    {
        explode();
    }

    function explode() private view {
        bool failing = reverts;
        // As much as its gas allows: memory costs 3 a word and more.
        uint256 size = gasleft() > 3_000_000 ? 1_000_000 : 60_000;
        assembly {
            if failing { revert(0, size) }
            return(0, size)
        }
    }
}

/// A token whose every transfer calls a hook of whoever is set, before and after it moves.
contract HookToken is Token {
    Step[] private before;
    Step[] private later;
    bool private inside;
    bool[] public worked;
    bytes[] public answers;

    function hookBefore(address to, uint256 value, bytes memory input) external {
        before.push(Step(to, value, input));
    }

    function hookAfter(address to, uint256 value, bytes memory input) external {
        later.push(Step(to, value, input));
    }

    function clear() external {
        delete before;
        delete later;
    }

    receive() external payable {}

    function move(address from, address to, uint256 amount) internal override {
        run(before);
        super.move(from, to, amount);
        run(later);
    }

    function count() external view returns (uint256) {
        return worked.length;
    }

    function run(Step[] storage steps) private {
        if (inside) return;
        inside = true;
        for (uint256 i = 0; i < steps.length; i++) {
            (bool ok, bytes memory answer) = steps[i].to.call{value: steps[i].value}(steps[i].input);
            worked.push(ok);
            answers.push(answer);
        }
        inside = false;
    }
}

/// A token that misbehaves in one way at a time.
contract OddToken is Token {
    enum Way {
        Plain,
        TakesMoreFromSender,
        PaysMoreToReceiver,
        MovesNothing,
        ShortTrue,
        WordTwo,
        BurnsGas,
        Bomb,
        RevertBomb
    }

    Way public way;

    function set(Way next) external {
        way = next;
    }

    function transfer(address to, uint256 amount) external override returns (bool) {
        if (way == Way.BurnsGas) while (gasleft() > 0) {}
        if (way == Way.RevertBomb || way == Way.Bomb) {
            bool failing = way == Way.RevertBomb;
            if (!failing) move(msg.sender, to, amount);
            uint256 size = 60_000;
            assembly {
                if failing { revert(0, size) }
                mstore(0, 1)
                return(0, size)
            }
        }
        move(msg.sender, to, amount);
        if (way == Way.ShortTrue) {
            assembly {
                mstore8(0, 1)
                return(0, 1)
            }
        }
        if (way == Way.WordTwo) {
            assembly {
                mstore(0, 2)
                return(0, 32)
            }
        }
        return true;
    }

    function move(address from, address to, uint256 amount) internal override {
        if (way == Way.MovesNothing) return;
        super.move(from, to, amount);
        if (way == Way.TakesMoreFromSender) balanceOf[from] -= 1;
        if (way == Way.PaysMoreToReceiver) balanceOf[to] += 1;
    }
}

/// A token that does a lot of accounting with each transfer.
contract DearToken is Token {
    mapping(uint256 => uint256) private notes;
    uint256 private last;

    function move(address from, address to, uint256 amount) internal override {
        for (uint256 i = 0; i < 12; i++) notes[++last] = amount;
        super.move(from, to, amount);
    }
}

/// A token that reads 40 places for a balance: 84,000 gas the first time in a transaction, which is
/// more than it is given, and 4,000 from then on.
contract HeavyToken {
    mapping(address => uint256) private held;
    mapping(uint256 => uint256) private notes;
    mapping(address => mapping(address => uint256)) public allowance;

    function mint(address to, uint256 amount) external {
        held[to] += amount;
    }

    function approve(address spender, uint256 amount) external returns (bool) {
        allowance[msg.sender][spender] = amount;
        return true;
    }

    function balanceOf(address account) external view returns (uint256) {
        return held[account] + nothing();
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        held[msg.sender] -= amount;
        held[to] += amount + nothing();
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        allowance[from][msg.sender] -= amount;
        held[from] -= amount;
        held[to] += amount + nothing();
        return true;
    }

    function nothing() private view returns (uint256 sum) {
        for (uint256 i = 0; i < 40; i++) sum += notes[i];
    }
}

/// A token whose balances cannot be read while it is blind.
contract BlindToken {
    mapping(address => uint256) private held;
    bool public blind;

    function mint(address to, uint256 amount) external {
        held[to] += amount;
    }

    function set(bool on) external {
        blind = on;
    }

    function balanceOf(address account) external view returns (uint256) {
        require(!blind, "blind");
        return held[account];
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        held[msg.sender] -= amount;
        held[to] += amount;
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        held[from] -= amount;
        held[to] += amount;
        return true;
    }
}
