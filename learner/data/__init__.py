"""The data path: index of frames, lazy payloads, masks, replay buffers and the adaptive sampler. No torch."""
