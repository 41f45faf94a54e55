// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Roles} from "./Roles.sol";

/// Gives and takes the roles. No storage of its own: it has what `Roles` has.
abstract contract Staff is Roles {
    function setOwner(address next) external onlyOwner {
        if (next == address(0)) revert NoOwner();
        owner = next;
        emit OwnerSet(next);
    }

    /// Gives or takes the role. Taking is always possible, a stolen key's even below `required`:
    /// then nothing moves until the owner has repaired it.
    function setGateway(address gateway, bool active) external onlyOwner {
        Gateway storage entry = gateways[gateway];
        if (active && entry.index == 0) {
            if (indexLast == type(uint8).max) revert TooManyGateways();
            entry.index = ++indexLast;
        }
        uint256 bit = entry.index == 0 ? 0 : 1 << entry.index;
        activeBits = active ? activeBits | bit : activeBits & ~bit;
        entry.active = active;
        emit GatewaySet(gateway, active);
    }

    /// How many gateways must agree before anything is delivered, void, closed or refunded.
    function setRequired(uint8 k) external onlyOwner {
        if (k == 0 || k > gatewayCount()) revert Required();
        required = k;
        emit RequiredSet(k);
    }

    function setPauser(address next) external onlyOwner {
        pauser = next;
        emit PauserSet(next);
    }

    /// Nothing new leaves and nobody is paid; refunds and claims go on.
    function pause() external {
        if (msg.sender != pauser && msg.sender != owner) revert NotPauser();
        paused = true;
        emit Paused(msg.sender);
    }

    function resume() external onlyOwner {
        paused = false;
        emit Resumed(msg.sender);
    }

    function isGateway(address account) external view returns (bool) {
        return gateways[account].active;
    }

    /// Active gateways.
    function gatewayCount() public view returns (uint256) {
        return ones(activeBits);
    }

    /// Whether a gateway has approved already and doing it again changes nothing. Where the owner
    /// has made fewer enough meanwhile, it does: a repetition ends the message then.
    function hasApproved(bytes32 id, Action action, address gateway) external view returns (bool) {
        uint256 bits = approvals[keccak256(abi.encode(id, action))];
        return bits >> gateways[gateway].index & 1 == 1 && ones(bits & activeBits) < required;
    }
}
