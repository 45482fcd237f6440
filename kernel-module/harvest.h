/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KVM_EPT_SAMPLE_HARVEST_H
#define KVM_EPT_SAMPLE_HARVEST_H

struct guest;
struct harvest_buffer;
struct kvm_ept_sample_harvest;

struct harvest_buffer *harvest_buffer_alloc(void);
void harvest_buffer_free(struct harvest_buffer *buffer);
void harvest_forget_cold(struct guest *guest);
int harvest(struct guest *guest, struct kvm_ept_sample_harvest *request);

#endif
